"""What real engines say they have to do: at rest, in the middle of answers, and afterwards."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from paddock.api.inferencepool import EngineName
from paddock.facts import PodDemand
from paddock.observe.demand import ask_engine
from paddock.observe.engines import ExpectedModel, probe_engine
from paddock.plan.engines import llama_cpp, ollama
from paddock.plan.engines.profile import PooledModel
from support.engine_servers import Served, serving
from support.stores import pool_of, two_models

pytestmark = pytest.mark.contract
_SECONDS = 30.0
_SLOTS = 4
"""What llama-server runs at once; what is more waits in its queue."""


@pytest.fixture
def models(tmp_path: Path) -> tuple[PooledModel, ...]:
    return two_models(tmp_path, "alpha", "beta")


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=_SECONDS) as client:
        yield client


async def ask(client: httpx.AsyncClient, served: Served, tokens: int = 300) -> None:
    body = {"model": "alpha", "prompt": "1", "max_tokens": tokens}
    answer = await client.post(f"{served.url}/v1/completions", json=body)
    assert answer.status_code == httpx.codes.OK, answer.text


async def ask_until(done: asyncio.Event, client: httpx.AsyncClient, served: Served) -> None:
    """Ask once more for as long as it takes: a quick machine answers before anybody counts."""
    while not done.is_set():
        await ask(client, served)


async def told(client: httpx.AsyncClient, engine: EngineName, served: Served) -> PodDemand:
    """Ask until the engine says: a busy machine may take longer than a pass waits."""
    async with asyncio.timeout(_SECONDS):
        while True:
            demand = await ask_engine(client, engine, served.url)
            if demand is not None:
                return demand


async def test_llama_server_counts_what_runs_and_what_waits(
    models: tuple[PooledModel, ...], tmp_path: Path, client: httpx.AsyncClient
) -> None:
    engine = EngineName.LLAMA_CPP
    run = llama_cpp.PROFILE.run(pool_of(engine, "alpha"), models[:1])
    store = {"/store": tmp_path / "store"}
    with serving(llama_cpp.PROFILE, run, tmp_path / "pod", store) as served:
        rest = await told(client, engine, served)
        counted = asyncio.Event()
        asking = [asyncio.create_task(ask_until(counted, client, served)) for _ in range(20)]
        async with asyncio.timeout(_SECONDS):
            while ((await told(client, engine, served)).in_flight or 0) <= _SLOTS:
                pass
        counted.set()
        await asyncio.gather(*asking)
        after = await told(client, engine, served)
    assert (rest.in_flight, after.in_flight) == (0, 0)
    assert rest.mark != after.mark


async def test_router_is_asked_without_loading_what_rests(
    models: tuple[PooledModel, ...], tmp_path: Path, client: httpx.AsyncClient
) -> None:
    engine = EngineName.LLAMA_CPP
    alpha, beta = models[0], replace(models[1], preload=False)
    run = llama_cpp.PROFILE.run(pool_of(engine, "alpha", "beta"), (alpha, beta))
    store = {"/store": tmp_path / "store"}
    with serving(llama_cpp.PROFILE, run, tmp_path / "pod", store) as served:
        await ask(client, served, 3)
        before = await told(client, engine, served)
        await ask(client, served, 3)
        after = await told(client, engine, served)
        listed = (await client.get(f"{served.url}/v1/models")).json()["data"]
    assert (before.in_flight, after.in_flight) == (0, 0)
    assert before.mark != after.mark
    assert {each["id"]: each["status"]["value"] for each in listed} == {
        "alpha": "loaded",
        "beta": "unloaded",
    }


async def test_idle_llama_server_unloads_its_model_and_being_asked_does_not_wake_it(
    models: tuple[PooledModel, ...], tmp_path: Path, client: httpx.AsyncClient
) -> None:
    engine = EngineName.LLAMA_CPP
    pool = pool_of(engine, "alpha", scaling={"idle": {"unloadAfter": "1s"}})
    run = llama_cpp.PROFILE.run(pool, models[:1])
    store = {"/store": tmp_path / "store"}
    with serving(llama_cpp.PROFILE, run, tmp_path / "pod", store) as served:
        await ask(client, served, 3)
        awake = await told(client, engine, served)
        async with asyncio.timeout(_SECONDS):
            while not (await client.get(f"{served.url}/props")).json()["is_sleeping"]:
                asleep = await told(client, engine, served)
        asleep = await told(client, engine, served)
        report = await probe_engine(
            client, engine, served.url, "pod-a", [ExpectedModel("alpha", None, generate=False)]
        )
        assert (await client.get(f"{served.url}/props")).json()["is_sleeping"]
        await ask(client, served, 3)
    assert awake == asleep
    assert [model.loaded for model in report.models] == [False]


async def test_ollama_tells_what_is_loaded_and_that_it_worked(
    models: tuple[PooledModel, ...], tmp_path: Path, client: httpx.AsyncClient
) -> None:
    engine = EngineName.OLLAMA
    run = ollama.PROFILE.run(pool_of(engine, "alpha", serving={"keepAlive": "3s"}), models)
    store = {"/store": tmp_path / "store"}
    with serving(ollama.PROFILE, run, tmp_path / "pod", store) as served:
        rest = await told(client, engine, served)
        await ask(client, served, 3)
        loaded = await told(client, engine, served)
        async with asyncio.timeout(_SECONDS):
            while (later := await told(client, engine, served)).in_flight is None:
                pass
    assert (rest.in_flight, loaded.in_flight, later.in_flight) == (0, None, 0)
    assert loaded.mark != rest.mark


async def test_engine_that_is_not_there_says_nothing(client: httpx.AsyncClient) -> None:
    for engine in EngineName:
        assert await ask_engine(client, engine, "http://127.0.0.1:9") is None
