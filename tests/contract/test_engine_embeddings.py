"""Models that only embed, and models of unlike contexts side by side, in the real engines."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from paddock import names
from paddock.api.inferencepool import EngineName
from paddock.facts import LoadedModel
from paddock.observe.engines import ExpectedModel, probe_engine
from paddock.plan.engines.llama_cpp import PROFILE as LLAMA_CPP
from paddock.plan.engines.ollama import PROFILE as OLLAMA
from paddock.plan.engines.profile import PooledModel, Profile
from paddock.plan.gateway.catalog import served_by
from paddock.plan.gateway.listing import ollama_details
from paddock.puller.store import Store
from support.engine_servers import serving
from support.shown import check_shown
from support.stores import add_tiny_bert, add_tiny_model, pool_of

pytestmark = pytest.mark.contract


@pytest.fixture
def store(tmp_path: Path) -> Store:
    tmp_path.chmod(0o755)
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


def embedder(store: Store) -> PooledModel:
    """Write a model that only embeds into the store, as the puller would."""
    model = add_tiny_bert(store, "bert")
    return PooledModel("bert", model, names.STORE_PATH, preload=True, context_length=None)


def generator(store: Store, name: str, context: int, seed: int) -> PooledModel:
    model = add_tiny_model(store, name, seed=seed)
    return PooledModel(name, model, names.STORE_PATH, preload=True, context_length=context)


@pytest.mark.parametrize("profile", [LLAMA_CPP, OLLAMA], ids=lambda each: each.name)
@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside-a-generator"])
async def test_model_that_only_embeds_proves_itself_with_an_embedding(
    profile: Profile, store: Store, tmp_path: Path, *, beside: bool
) -> None:
    models = (embedder(store), *((generator(store, "alpha", 256, 1),) if beside else ()))
    pool = pool_of(profile.name, *(model.served_as for model in models))
    run = profile.run(pool, models)
    expected = [ExpectedModel(each.served_as, each.digest, generate=True) for each in models]
    with serving(profile, run, tmp_path / "pod", {"/store": store.root}) as served:
        async with httpx.AsyncClient(timeout=30) as client:
            report = await probe_engine(client, profile.name, served.url, "pod-a", expected)
            if profile is OLLAMA:
                shown = await client.post(f"{served.url}/api/show", json={"model": "bert"})
                known = {each.model.metadata.name: each.model for each in models}
                *_, listed = served_by([pool], known)
                check_shown(json.loads(ollama_details(listed)), shown.json())

    assert [replace(each, memory=None, gpu_memory=None) for each in report.models] == [
        LoadedModel(each.served_as, each.digest, loaded=True, generated=True) for each in models
    ]


async def test_models_of_one_router_have_each_their_own_context(
    store: Store, tmp_path: Path
) -> None:
    models = (generator(store, "short", 256, 1), generator(store, "long", 1024, 2))
    run = LLAMA_CPP.run(pool_of(EngineName.LLAMA_CPP, "short", "long"), models)
    expected = [ExpectedModel(each.served_as, each.digest, generate=True) for each in models]
    with serving(LLAMA_CPP, run, tmp_path / "pod", {"/store": store.root}) as served:
        async with httpx.AsyncClient(timeout=30) as client:
            await probe_engine(client, EngineName.LLAMA_CPP, served.url, "pod-a", expected)
            contexts = {
                each.served_as: (
                    await client.get(f"{served.url}/props?model={each.served_as}")
                ).json()["default_generation_settings"]["n_ctx"]
                for each in models
            }

    assert contexts == {"short": 256, "long": 1024}
