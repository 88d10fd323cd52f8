"""The Ollama profile against a real Ollama on a read-only store that we wrote."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.view import ViewPlan
from paddock.facts import EngineReport, LoadedModel
from paddock.observe.engines import ExpectedModel, probe_engine
from paddock.plan.engines.ollama import PROFILE
from paddock.plan.engines.profile import PooledModel
from paddock.plan.replica import build_replica, pooled_models
from paddock.puller.store import Store
from paddock.puller.view import lay_view
from paddock.settings import Settings
from paddock.wire import Json
from support.engine_servers import Served, serving
from support.stores import add_tiny_model, pool_of

pytestmark = pytest.mark.contract
OTHER = f"sha256:{'0' * 64}"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    tmp_path.chmod(0o755)
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


@pytest.fixture
def claims(tmp_path: Path) -> dict[str, Path]:
    """Two claims, and the empty folder of a view."""
    tmp_path.chmod(0o755)
    folders = {name: tmp_path / name for name in ("one", "two", "view")}
    for folder in folders.values():
        folder.mkdir()
    return folders


@contextmanager
def started(pool: InferencePool, models: list[LocalModel], tmp_path: Path) -> Iterator[Served]:
    pooled = tuple(
        PooledModel(model.metadata.name, model, names.STORE_PATH, preload=True, context_length=None)
        for model in models
    )
    assert PROFILE.refuse(pool, pooled) == ()
    with serving(
        PROFILE, PROFILE.run(pool, pooled), tmp_path / "pod", {"/store": tmp_path / "store"}
    ) as served:
        yield served


def digest_of(model: LocalModel) -> str:
    assert model.status.artifact is not None
    return model.status.artifact.digest


def expected(model: LocalModel, *, generate: bool = True) -> ExpectedModel:
    return ExpectedModel(model.metadata.name, digest_of(model), generate)


async def probed(served: Served, *models: ExpectedModel) -> EngineReport:
    """Return the report without sizes, once they are plausible: this machine has no GPU."""
    async with httpx.AsyncClient(timeout=60) as client:
        report = await probe_engine(client, EngineName.OLLAMA, served.url, "pod-a", models)
    for each in report.models:
        assert (each.gpu_memory == 0 and (each.memory or 0) > 500_000) == each.loaded
    return replace(
        report,
        models=tuple(replace(each, memory=None, gpu_memory=None) for each in report.models),
    )


async def asked(served: Served, method: str, path: str, body: Json = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.request(method, served.url + path, json=body)


async def test_several_models_are_served_from_their_blobs_and_only_the_preloaded_is_loaded(
    store: Store, tmp_path: Path
) -> None:
    alpha, beta = (add_tiny_model(store, name, seed=seed) for seed, name in enumerate("ab"))
    with started(pool_of(EngineName.OLLAMA, "a", "b"), [alpha, beta], tmp_path) as served:
        report = await probed(served, expected(alpha), expected(beta, generate=False))

    assert report == EngineReport(
        pod="pod-a",
        answering=True,
        version="0.17.4",
        models=(
            LoadedModel("a", digest_of(alpha), loaded=True, generated=True),
            LoadedModel("b", digest_of(beta), loaded=False, generated=False),
        ),
    )
    loading, waiting = (each.load_seconds for each in report.models)
    assert waiting is None
    assert (loading or 0) > 0


async def test_model_joins_a_running_engine_without_a_restart(store: Store, tmp_path: Path) -> None:
    alpha = add_tiny_model(store, "a", seed=1)
    with started(pool_of(EngineName.OLLAMA, "a"), [alpha], tmp_path) as served:
        before = await probed(served, ExpectedModel("b", None, generate=True))
        beta = add_tiny_model(store, "b", seed=2)
        after = await probed(served, expected(beta))

    assert before.models == (LoadedModel("b", error="The engine does not list b."),)
    assert after.models == (LoadedModel("b", digest_of(beta), loaded=True, generated=True),)


async def test_other_bytes_under_the_name_are_told_by_their_digest(
    store: Store, tmp_path: Path
) -> None:
    alpha = add_tiny_model(store, "a", seed=1)
    with started(pool_of(EngineName.OLLAMA, "a"), [alpha], tmp_path) as served:
        report = await probed(served, ExpectedModel("a", OTHER, generate=True))

    sentence = f"a is served from {digest_of(alpha)}, not {OTHER}."
    assert report.models == (LoadedModel("a", digest_of(alpha), error=sentence),)


async def test_model_that_cannot_load_is_told_though_the_server_is_healthy(
    store: Store, tmp_path: Path
) -> None:
    alpha = add_tiny_model(store, "a", seed=1)
    blob = store.blob(digest_of(alpha))
    blob.chmod(0o644)
    blob.write_bytes(blob.read_bytes()[: blob.stat().st_size // 2])
    with started(pool_of(EngineName.OLLAMA, "a"), [alpha], tmp_path) as served:
        report = await probed(served, expected(alpha))

    (model,) = report.models
    assert model.generated is None
    assert model.error is not None
    assert model.error.startswith("a did not generate a token: ")


async def test_server_takes_every_knob_and_runs_with_the_context_asked_for(
    store: Store, tmp_path: Path
) -> None:
    alpha = add_tiny_model(store, "a", seed=1)
    knobs: dict[str, Json] = {
        "contextLength": 256, "parallel": 2, "maxQueue": 7, "kvCacheType": "q8_0",
        "keepAlive": "1h", "flashAttention": True,
    }  # fmt: skip
    pool = pool_of(EngineName.OLLAMA, "a", serving=knobs)
    with started(pool, [alpha], tmp_path) as served:
        report = await probed(served, expected(alpha))
        running = (await asked(served, "GET", "/api/ps")).json()["models"]
        words = served.log.read_text()

    assert report.models[0].generated
    assert [model["context_length"] for model in running] == [256]
    for knob in ("OLLAMA_NUM_PARALLEL:2", "OLLAMA_MAX_QUEUE:7", "OLLAMA_KV_CACHE_TYPE:q8_0",
                 "OLLAMA_KEEP_ALIVE:1h0m0s", "OLLAMA_FLASH_ATTENTION:true"):  # fmt: skip
        assert knob in words


async def test_users_cannot_change_the_store_through_the_api(store: Store, tmp_path: Path) -> None:
    alpha = add_tiny_model(store, "a", seed=1)
    with started(pool_of(EngineName.OLLAMA, "a"), [alpha], tmp_path) as served:
        gone = await asked(served, "DELETE", "/api/delete", {"model": "a"})
        copied = await asked(served, "POST", "/api/copy", {"source": "a", "destination": "c"})
        report = await probed(served, expected(alpha))

    assert gone.status_code >= 400
    assert copied.status_code >= 400
    assert report.models[0].generated


async def test_one_view_over_two_claims_serves_other_names_and_another_context(
    claims: dict[str, Path], tmp_path: Path
) -> None:
    alpha = add_tiny_model(Store(claims["one"]), "alpha", seed=1, claim="one")
    beta = add_tiny_model(Store(claims["two"]), "beta", seed=2, claim="two")
    pool = pool_of(EngineName.OLLAMA, models=[
        {"name": "alpha", "as": "Team-Chat:8b", "contextLength": 512}, {"name": "beta"},
    ])  # fmt: skip
    pooled = pooled_models(pool, {"alpha": alpha, "beta": beta})
    replica, _ = build_replica(pool, PROFILE, pooled, Settings())
    assert replica.view is not None
    places = {path: claims[claim] for claim, path in replica.claims}
    view = claims.pop("view")
    lay_view(at_host(replica.view, places), view)
    point_into_pod(view, places)
    with serving(PROFILE, replica.run, tmp_path / "pod", {"/store": view, **places}) as served:
        report = await probed(
            served,
            ExpectedModel("Team-Chat:8b", digest_of(alpha), generate=True),
            ExpectedModel("beta", digest_of(beta), generate=True),
        )
        running = (await asked(served, "GET", "/api/ps")).json()["models"]

    assert report.models == (
        LoadedModel("Team-Chat:8b", digest_of(alpha), loaded=True, generated=True),
        LoadedModel("beta", digest_of(beta), loaded=True, generated=True),
    )
    contexts = {model["name"]: model["context_length"] for model in running}
    assert contexts == {"Team-Chat:8b": 512, "beta:latest": 2048}


def at_host(plan: ViewPlan, places: dict[str, Path]) -> ViewPlan:
    """Return the plan with each claim where this machine has it."""
    models = tuple(
        model.model_copy(update={"store": str(places[model.store])}) for model in plan.models
    )
    return ViewPlan(models=models)


def point_into_pod(view: Path, places: dict[str, Path]) -> None:
    """Make the links say what they would say had they been laid inside the pod."""
    for link in (view / "blobs").iterdir():
        if link.is_symlink():
            target = str(link.readlink())
            link.unlink()
            for path, folder in places.items():
                target = target.replace(str(folder), path)
            link.symlink_to(target)


@pytest.mark.parametrize(("kind", "parallel"), [("f16", 1), ("q8_0", 2)])
async def test_cache_that_ollama_allots_is_the_cache_we_reckon_with(
    store: Store, tmp_path: Path, kind: str, parallel: int
) -> None:
    model = add_tiny_model(store, "a", seed=1)
    knobs: dict[str, Json] = {
        "contextLength": 1024, "parallel": parallel, "kvCacheType": kind, "flashAttention": True,
    }  # fmt: skip
    pool = pool_of(EngineName.OLLAMA, "a", serving=knobs)
    pooled = pooled_models(pool, {"a": model})
    _, fit = build_replica(pool, PROFILE, pooled, Settings())
    with started(pool, [model], tmp_path) as served:
        await probed(served, expected(model))
        words = served.log.read_text()

    (allotted,) = re.findall(r"KV buffer size = +([\d.]+) MiB", words)
    assert fit.kv_cache_bytes is not None
    assert fit.kv_cache_bytes / (1 << 20) == pytest.approx(float(allotted), rel=0.07)


async def test_engine_that_is_gone_is_a_report_and_not_an_error(store: Store) -> None:
    alpha = add_tiny_model(store, "a", seed=1)
    report = await probed(Served("http://127.0.0.1:1", Path(), 0), expected(alpha))

    assert (report.answering, report.models) == (False, ())
    assert report.error == "The engine does not answer its API: the connection failed."
