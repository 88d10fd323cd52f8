"""Each load is told once: of engines that load as they start, and those that load for a proof."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from paddock.api.inferencepool import EngineName
from paddock.clock import rfc3339
from paddock.facts import ContainerFact, EngineReport, Key, LoadedModel, PodFact, PoolFacts
from paddock.telemetry import catalog
from paddock.telemetry.loads import LoadMeasures
from paddock.telemetry.registry import Registry
from support.pools import NOW
from support.stores import pool_of

KEY = Key("inferencepools", "team", "chat")
LONG_AGO = NOW - timedelta(seconds=40)


class Told:
    """The loads that passes over one pool have told."""

    def __init__(self, engine: EngineName, *models: str) -> None:
        self.registry = Registry([catalog.ENGINE_LOAD])
        self.measures = LoadMeasures(self.registry)
        self.facts = PoolFacts(pool=pool_of(engine, *models), now=NOW)

    def see(
        self, *, ready: bool, since: datetime | None = LONG_AGO, up: bool = False,
        **loads: float | None,
    ) -> None:  # fmt: skip
        running = rfc3339(since) if since else None
        container = ContainerFact("engine", ready=ready, started=ready or up, running_since=running)
        pod = PodFact("chat-1", "uid-1", "Running", ready=ready, containers=(container,))
        models = tuple(LoadedModel(name, load_seconds=took) for name, took in loads.items())
        report = EngineReport("chat-1", answering=True, models=models)
        reports = {"uid-1": report} if ready else {}
        self.measures.note(KEY, replace(self.facts, pods=(pod,), reports=reports))

    @property
    def all(self) -> dict[tuple[str, ...], tuple[int, float]]:
        found = self.registry.collect_one(catalog.ENGINE_LOAD).distributions
        return {labels: (sum(each.counts), each.total) for labels, each in found.items()}


@pytest.fixture
def told() -> Told:
    return Told(EngineName.LLAMA_CPP, "alpha")


@pytest.mark.parametrize("engine", [EngineName.LLAMA_CPP, EngineName.VLLM])
def test_engine_that_was_seen_starting_is_told_when_ready_and_only_then(engine: EngineName) -> None:
    told = Told(engine, "alpha")
    told.see(ready=False)
    assert told.all == {}
    for ready in (True, True, False, True):
        told.see(ready=ready, alpha=None)
    assert told.all == {("team", "chat", "alpha", engine.value): (1, 40.0)}


def test_engine_that_starts_anew_is_told_again() -> None:
    told = Told(EngineName.LLAMA_CPP, "alpha")
    for since in (LONG_AGO, NOW - timedelta(seconds=10)):
        told.see(ready=False, since=since)
        told.see(ready=True, since=since, alpha=None)
    assert told.all == {("team", "chat", "alpha", "LlamaCpp"): (2, 50.0)}


def test_engine_that_is_ready_at_once_was_seen_as_a_pod_before(told: Told) -> None:
    told.see(ready=False, since=None)
    told.see(ready=True, alpha=None)
    assert told.all == {("team", "chat", "alpha", "LlamaCpp"): (1, 40.0)}


def test_lapse_of_an_engine_that_is_up_when_the_operator_comes_is_no_load(told: Told) -> None:
    told.see(ready=False, up=True)
    told.see(ready=True, alpha=None)
    assert told.all == {}


def test_engine_that_was_ready_when_the_operator_came_is_not_told() -> None:
    told = Told(EngineName.VLLM, "alpha")
    for ready in (True, False, True):
        told.see(ready=ready, alpha=None)
    assert told.all == {}


def test_models_that_a_proof_loaded_are_told_once_each() -> None:
    told = Told(EngineName.OLLAMA, "alpha", "beta")
    told.see(ready=False)
    for _ in range(2):
        told.see(ready=True, alpha=3.5, beta=None)
    told.see(ready=True, alpha=4.0, beta=1.0)
    assert told.all == {
        ("team", "chat", "alpha", "Ollama"): (2, 7.5), ("team", "chat", "beta", "Ollama"): (1, 1.0),
    }  # fmt: skip


def test_pool_that_is_gone_is_forgotten() -> None:
    told = Told(EngineName.LLAMA_CPP, "alpha")
    told.see(ready=False)
    told.measures.forget(KEY)
    told.see(ready=True, alpha=None)
    assert told.all == {}
