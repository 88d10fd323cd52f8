"""Which models real engines have loaded, as the operator's metrics say it."""

from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import EngineName
from paddock.observe.loaded import Loaded, observe_loaded
from paddock.plan.engines import llama_cpp, ollama
from paddock.plan.engines.profile import PooledModel
from support.engine_servers import serving
from support.stores import pool_of, two_models

pytestmark = pytest.mark.contract


@pytest.fixture
def models(tmp_path: Path) -> tuple[PooledModel, ...]:
    return two_models(tmp_path, "alpha")


async def loaded(engine: EngineName, url: str) -> dict[str, Loaded] | None:
    async with httpx.AsyncClient(timeout=30) as client:
        found = await observe_loaded(client, engine, url)
    return None if found is None else dict(found)


async def asked(url: str, path: str, model: str) -> None:
    async with httpx.AsyncClient(timeout=60) as client:
        body = {"model": model, "prompt": "1", "stream": False, "max_tokens": 1,
                "options": {"num_predict": 1}}  # fmt: skip
        (await client.post(url + path, json=body)).raise_for_status()


async def test_ollama_says_what_it_has_loaded_and_in_how_much_memory(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    pool = pool_of(EngineName.OLLAMA, "alpha", "beta")
    run = ollama.PROFILE.run(pool, models)
    with serving(ollama.PROFILE, run, tmp_path / "pod", {"/store": tmp_path / "store"}) as served:
        before = await loaded(EngineName.OLLAMA, served.url)
        await asked(served.url, "/api/generate", "alpha")
        after = await loaded(EngineName.OLLAMA, served.url)

    assert before == {}
    assert after is not None
    assert set(after) == {"alpha"}
    assert after["alpha"].gpu_memory == 0
    assert (after["alpha"].memory or 0) > 500_000


async def test_llama_cpps_router_says_what_it_has_loaded(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", "beta")
    profile = llama_cpp.PROFILE
    run = profile.run(pool, models)
    with serving(profile, run, tmp_path / "pod", {"/store": tmp_path / "store"}) as served:
        await asked(served.url, "/v1/completions", "alpha")
        first = await loaded(EngineName.LLAMA_CPP, served.url)
        await asked(served.url, "/v1/completions", "beta")
        second = await loaded(EngineName.LLAMA_CPP, served.url)

    assert first == {"alpha": Loaded()}
    assert second == {"alpha": Loaded(), "beta": Loaded()}


async def test_engine_that_is_gone_says_nothing() -> None:
    assert await loaded(EngineName.OLLAMA, "http://127.0.0.1:1") is None
