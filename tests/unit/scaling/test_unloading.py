"""How each engine unloads idle models, or refuses to by name."""

import pytest

from paddock.api.inferencepool import EngineName
from paddock.plan.engines.profile import Refusal
from paddock.plan.pool import PoolPlan, plan_pool
from paddock.settings import Settings
from paddock.wire import Json
from support.pools import fresh

IDLE: Json = {"min": 0, "idle": {"unloadAfter": "1m30s", "zeroAfter": "1h"}}


def planned(engine: EngineName, **spec: Json) -> PoolPlan:
    return plan_pool(fresh(engine, scaling=IDLE, **spec), Settings())


def test_llama_server_sleeps_after_idle_seconds() -> None:
    effective = planned(EngineName.LLAMA_CPP).effective
    assert effective is not None
    at = effective.args.index("--sleep-idle-seconds")
    assert effective.args[at + 1] == "90"
    assert effective.scaling is not None
    assert effective.scaling.idle is not None
    assert (effective.scaling.idle.unload_after, effective.scaling.idle.zero_after) == (
        "1m30s",
        "1h",
    )


def test_ollama_keeps_models_for_that_long() -> None:
    (deployment,) = [each for each in planned(EngineName.OLLAMA).wanted
                     if each["kind"] == "Deployment"]  # fmt: skip
    assert "{'name': 'OLLAMA_KEEP_ALIVE', 'value': '90s'}" in str(deployment)


REFUSED: list[tuple[EngineName, dict[str, Json], str]] = [
    (EngineName.VLLM, {}, "spec.scaling.idle.unloadAfter"),
    (EngineName.OLLAMA, {"serving": {"keepAlive": "5m"}}, "spec.scaling.idle.unloadAfter"),
]


@pytest.mark.parametrize(("engine", "spec", "path"), REFUSED)
def test_what_an_engine_cannot_do_is_refused_by_name(
    engine: EngineName, spec: dict[str, Json], path: str
) -> None:
    refused: tuple[Refusal, ...] = planned(engine, **spec).refused
    assert [each.path for each in refused] == [path]
