"""Whether a replica has room: told by its arithmetic, and on GPUs by the engines that serve."""

from dataclasses import replace
from typing import Any

import pytest

from paddock.api.inferencepool import EngineName
from paddock.api.reasons import ConditionType
from paddock.facts import EngineReport, PoolFacts
from support.pools import fresh, said, settled, status_of

GPU: dict[str, Any] = {"hardware": {"gpus": 1}}
MIB = 2**20


def sized(facts: PoolFacts, memory: int | None, gpu_memory: int | None) -> PoolFacts:
    """Return the facts once each engine has told in which memory its models are."""

    def told(report: EngineReport) -> EngineReport:
        models = (replace(each, memory=memory, gpu_memory=gpu_memory) for each in report.models)
        return replace(report, models=tuple(models))

    return replace(facts, reports={uid: told(report) for uid, report in facts.reports.items()})


@pytest.mark.parametrize(
    ("memory", "gpu_memory", "told"),
    [
        (900 * MIB, 900 * MIB, ("True", "Fits")),
        (900 * MIB, 600 * MIB, ("False", "DoesNotFit")),
        (900 * MIB, 0, ("False", "DoesNotFit")),
        (None, None, ("Unknown", "NotEstimated")),
    ],
)
def test_ollama_tells_how_much_its_gpus_hold(
    memory: int | None, gpu_memory: int | None, told: tuple[str, str]
) -> None:
    facts = sized(settled(fresh(EngineName.OLLAMA, **GPU)), memory, gpu_memory)
    status = status_of(facts)

    assert said(status, ConditionType.FITS) == told
    assert said(status, ConditionType.READY) == ("True", "Ready")


def test_model_that_spills_is_told_with_its_sizes_and_what_to_do() -> None:
    facts = sized(settled(fresh(EngineName.OLLAMA, **GPU)), 900 * MIB, 600 * MIB)
    (fits,) = (each for each in status_of(facts).conditions if each.type == "Fits")

    assert fits.message == (
        "Pod/chat-0: 0.59 GiB of the 0.88 GiB that alpha takes are in GPU memory, CPUs compute the "
        "rest. Give it larger or more GPUs, a smaller quantization or less context."
    )


def test_every_replica_must_hold_every_model() -> None:
    facts = sized(settled(fresh(EngineName.OLLAMA, replicas=2, **GPU)), 9 * MIB, 9 * MIB)
    first = {"uid-pod-0": facts.reports["uid-pod-0"]}

    assert said(status_of(replace(facts, reports=first)), ConditionType.FITS)[0] == "Unknown"


def test_replicas_of_a_rollout_prove_nothing_yet() -> None:
    facts = sized(settled(fresh(EngineName.OLLAMA, **GPU)), 9 * MIB, 3 * MIB)
    assert facts.deployment is not None
    rolling = replace(facts, deployment=replace(facts.deployment, updated=0))

    assert said(status_of(rolling), ConditionType.FITS)[0] == "Unknown"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ((), ("True", "Fits")),
        (("--cpu-offload-gb=8",), ("Unknown", "NotEstimated")),
        (("--cpu-offload-gb", "8"), ("Unknown", "NotEstimated")),
    ],
)
def test_vllm_that_serves_holds_its_model_but_for_what_it_leaves_out(
    args: tuple[str, ...], told: tuple[str, str]
) -> None:
    facts = fresh(EngineName.VLLM, engine={"name": "VLLM", "args": list(args)})

    assert said(status_of(facts), ConditionType.FITS) == ("Unknown", "NotEstimated")
    assert said(status_of(settled(facts)), ConditionType.FITS) == told


def test_llama_cpp_does_not_tell() -> None:
    facts = settled(fresh(EngineName.LLAMA_CPP, **GPU))

    assert said(status_of(facts), ConditionType.FITS) == ("Unknown", "NotEstimated")
