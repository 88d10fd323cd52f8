"""Series of engines: one for each declared model of each ready pod, and none besides."""

from typing import Any

from paddock.api.inferencepool import EngineName
from paddock.kinds import INFERENCE_POOLS, PODS
from paddock.kube.cache import Cache
from paddock.observe.loaded import Loaded
from paddock.telemetry.engines import Target, series_of, targets_of

TARGET = Target("team", "chat", EngineName.OLLAMA, "chat-1", "http://10.0.0.1:8080", ("a", "b"))


def pod(name: str, *, component: str = "engine", ready: str = "True", ip: str = "10.0.0.1") -> Any:
    return {
        "metadata": {
            "name": name, "namespace": "team", "uid": f"uid-{name}", "resourceVersion": "1",
            "labels": {"paddock.dev/owner-uid": "uid-chat",
                       "app.kubernetes.io/component": component},
        },
        "status": {"podIP": ip, "conditions": [{"type": "Ready", "status": ready}]},
    }  # fmt: skip


def cache_of(*pods: Any, engine: str = "Ollama") -> Cache:
    cache = Cache([INFERENCE_POOLS, PODS])
    pool: Any = {
        "metadata": {"name": "chat", "namespace": "team", "uid": "uid-chat",
                     "resourceVersion": "1"},
        "spec": {"engine": {"name": engine}, "models": [{"name": "a"}, {"name": "x", "as": "b"}]},
    }  # fmt: skip
    cache.put(INFERENCE_POOLS, pool)
    for each in pods:
        cache.put(PODS, each)
    return cache


def test_ready_engines_are_asked_and_nobody_else() -> None:
    leaving = pod("leaving")
    leaving["metadata"]["deletionTimestamp"] = "2026-11-21T00:00:00Z"
    cache = cache_of(
        pod("chat-1"), pod("loading", ready="False"), pod("collector", component="collector"),
        leaving, pod("homeless", ip=""),
    )  # fmt: skip
    assert list(targets_of(cache)) == [TARGET]


def test_address_of_the_sixth_version_is_put_in_brackets() -> None:
    (target,) = targets_of(cache_of(pod("chat-1", ip="fd00::1")))
    assert target.address == "http://[fd00::1]:8080"


def test_engine_nobody_knows_is_not_asked() -> None:
    assert list(targets_of(cache_of(pod("chat-1"), engine="Abacus"))) == []


def test_declared_models_have_a_series_and_what_else_an_engine_names_has_none() -> None:
    answer = {"a": Loaded(10, 4), "not-ours": Loaded(1, 1)}
    assert series_of(TARGET, answer) == {
        ("team", "chat", "a", "Ollama", "chat-1"): Loaded(10, 4),
        ("team", "chat", "b", "Ollama", "chat-1"): None,
    }


def test_engine_that_does_not_answer_has_no_series() -> None:
    assert series_of(TARGET, None) == {}
