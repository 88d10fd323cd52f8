"""The ways to GPUs: by a counted resource, by nodes that share them so, by a device claim."""

from typing import Any

import pytest

from paddock.api.inferencepool import EngineName
from paddock.api.reasons import Reason
from paddock.facts import EventFact, PodFact
from paddock.plan.pool import plan_pool
from paddock.settings import HardwareDefaults, Settings
from paddock.status.pod_diagnosis import diagnose_pod
from paddock.status.scheduling import diagnose_scheduling
from paddock.wire import Json
from support.pools import SETTINGS, fresh

STRATEGY = "nvidia.com/gpu.sharing-strategy"


def pod_of(
    hardware: Json, engine: EngineName = EngineName.LLAMA_CPP, settings: Settings = SETTINGS
) -> Any:
    plan = plan_pool(fresh(engine, hardware=hardware), settings)
    assert plan.refused == ()
    (deployment,) = (each for each in plan.wanted if each["kind"] == "Deployment")
    spec: Any = deployment["spec"]
    return spec["template"]["spec"]


def expressions(pod: Any) -> list[tuple[str, str, list[str]]]:
    required = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    (term,) = required["nodeSelectorTerms"]
    return [(each["key"], each["operator"], each["values"]) for each in term["matchExpressions"]]


@pytest.mark.parametrize(
    ("sharing", "operator", "values"),
    [
        ("Exclusive", "NotIn", ["time-slicing", "mps"]),
        ("TimeSliced", "In", ["time-slicing"]),
        ("MPS", "In", ["mps"]),
    ],
)
def test_sharing_chooses_nodes_by_nvidias_label(
    sharing: str, operator: str, values: list[str]
) -> None:
    pod = pod_of({"gpus": 1, "sharing": sharing, "gpuTypes": ["a100"]})
    assert expressions(pod) == [
        ("gpu-type", "In", ["a100"]),
        (STRATEGY, operator, values),
    ]


AMD = Settings(hardware=HardwareDefaults("amd.com/gpu", "rocm", "serving"))


@pytest.mark.parametrize(
    ("hardware", "resource", "runtime_class", "priority_class"),
    [
        ({}, None, None, "serving"),
        ({"gpus": 1}, "amd.com/gpu", "rocm", "serving"),
        ({"gpus": 1, "resourceName": "nvidia.com/gpu", "runtimeClassName": "nvidia",
          "priorityClassName": "low"}, "nvidia.com/gpu", "nvidia", "low"),
        ({"gpus": 1, "sharing": "MPS"}, "nvidia.com/gpu", "rocm", "serving"),
    ],
)  # fmt: skip
def test_administrator_says_what_pools_have_that_do_not_say(
    hardware: Json, resource: str | None, runtime_class: str | None, priority_class: str
) -> None:
    pod = pod_of(hardware, settings=AMD)
    container, _ = pod["containers"]
    assert set(container["resources"]["limits"]) == {"memory", resource} - {None}
    assert pod.get("runtimeClassName") == runtime_class
    assert pod["priorityClassName"] == priority_class
    effective = plan_pool(fresh(EngineName.LLAMA_CPP, hardware=hardware), AMD).effective
    assert effective is not None
    told = effective.resource_name, effective.runtime_class_name, effective.priority_class_name
    assert told == (resource, runtime_class, priority_class)


@pytest.mark.parametrize("engine", [EngineName.LLAMA_CPP, EngineName.VLLM])
def test_claim_gives_the_gpus_and_no_resource_is_counted(engine: EngineName) -> None:
    pod = pod_of({"deviceClaim": "half-a-card"}, engine)
    container, _ = pod["containers"]
    assert pod["resourceClaims"] == [{"name": "gpus", "resourceClaimTemplateName": "half-a-card"}]
    assert container["resources"]["claims"] == [{"name": "gpus"}]
    assert set(container["resources"]["limits"]) == {"memory"}
    assert "tolerations" not in pod
    assert "NVIDIA_VISIBLE_DEVICES" not in {each["name"] for each in container["env"]}


def test_engine_is_told_how_many_gpus_the_claim_gives() -> None:
    container, _ = pod_of({"deviceClaim": "pair", "gpus": 2}, EngineName.VLLM)["containers"]
    args = container["args"]
    assert args[args.index("--tensor-parallel-size") + 1] == "2"


@pytest.mark.parametrize(
    ("hardware", "path"),
    [
        ({"sharing": "MPS"}, "sharing"),
        ({"gpus": 0, "deviceClaim": "a"}, "deviceClaim"),
        ({"deviceClaim": "a", "sharing": "MPS"}, "sharing"),
        ({"deviceClaim": "a", "resourceName": "amd.com/gpu"}, "resourceName"),
        ({"gpus": 1, "resourceName": "amd.com/gpu", "sharing": "Exclusive"}, "sharing"),
    ],
)
def test_what_would_have_no_effect_is_refused(hardware: Json, path: str) -> None:
    plan = plan_pool(fresh(EngineName.LLAMA_CPP, hardware=hardware), SETTINGS)
    assert [each.path for each in plan.refused] == [f"spec.hardware.{path}"]
    assert plan.wanted == ()


def test_devices_that_are_not_there_and_templates_that_are_not_are_told() -> None:
    words = "0/2 nodes are available: 2 cannot allocate all claims. preemption: not eligible."
    assert diagnose_scheduling("Pod/a", words).reason == Reason.INSUFFICIENT_GPU

    waiting = PodFact(name="a", uid="u", phase="Pending")
    event = EventFact(
        "Pod/a",
        "FailedResourceClaimCreation",
        'PodResourceClaim gpus: resource claim template "lost": '
        'resourceclaimtemplate.resource.k8s.io "lost" not found',
    )
    (told,) = diagnose_pod(waiting, (event,))
    assert told.object == "ResourceClaimTemplate/lost"
    assert told.fix == "Create it in this namespace, or correct hardware.deviceClaim."
