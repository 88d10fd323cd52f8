"""An InferencePool from nothing to Ready and through every trouble, as facts in, decisions out."""

from dataclasses import replace
from typing import Any

import pytest

from paddock.api.inferencepool import InferencePool, InferencePoolStatus
from paddock.facts import (
    Apply,
    Children,
    ContainerFact,
    Delete,
    DeploymentFact,
    Done,
    EngineReport,
    EventFact,
    LoadedModel,
    PodFact,
    PoolFacts,
    Wait,
)
from paddock.plan.pool import PoolPlan, plan_pool
from paddock.settings import Settings
from paddock.status.pool import status_of_pool
from support.objects import DIGEST, NOW, model, pool
from support.pools import serving
from support.rules import check_status

SETTINGS = Settings()
READY_POD = PodFact(
    name="chat-1", uid="p1", phase="Running", ip="10.0.0.1", ready=True, scheduled=True
)
WAITING_POD = PodFact(name="chat-1", uid="p1", phase="Pending")
WHOLE = DeploymentFact(
    name="chat", uid="d", generation=1, observed_generation=1, replicas=1, updated=1, ready=1,
    available=1,
)  # fmt: skip
PROVEN = EngineReport(
    pod="chat-1",
    answering=True,
    models=(LoadedModel("tiny", DIGEST, loaded=True, generated=True),),
)


def facts_of(subject: InferencePool, **more: Any) -> PoolFacts:
    models = more.pop("models", {"tiny": model(ready=True)})
    more.setdefault("gateway", serving(subject))
    return PoolFacts(pool=subject, now=NOW, models=models, **more)


def told(facts: PoolFacts, plan: PoolPlan | None = None) -> InferencePoolStatus:
    plan = plan or plan_pool(facts, SETTINGS)
    newest = tuple(replace(pod, revision=plan.revision) for pod in facts.pods)
    status = status_of_pool(replace(facts, pods=newest), plan, ())
    check_status(status, generation=facts.pool.metadata.generation)
    return status


def condition(status: InferencePoolStatus, kind: str) -> tuple[str, str]:
    return {each.type: (each.status, each.reason) for each in status.conditions}[kind]


def applied(plan: PoolPlan) -> list[str]:
    return [str(change.manifest["kind"]) for change in plan.changes if isinstance(change, Apply)]


def live(plan: PoolPlan) -> Children:
    manifests = {}
    for change in plan.changes:
        assert isinstance(change, Apply)
        manifest: Any = change.manifest
        manifests[manifest["kind"], manifest["metadata"]["name"]] = manifest
    return Children(manifests)


def deployment_of(plan: PoolPlan) -> Any:
    return next(each for each in plan.wanted if each["kind"] == "Deployment")


@pytest.mark.parametrize("engine", ["LlamaCpp", "Ollama"])
def test_pool_of_a_ready_model_gets_its_children(engine: str) -> None:
    plan = plan_pool(facts_of(pool(engine)), SETTINGS)
    assert applied(plan) == ["Service", "NetworkPolicy", "Deployment"]


def test_pool_waits_until_weights_are_there() -> None:
    facts = facts_of(pool(), models={"tiny": model()})
    plan = plan_pool(facts, SETTINGS)
    assert plan.changes == ()
    assert condition(told(facts, plan), "Reconciling") == ("True", "WaitingForModel")


def test_missing_model_stalls_by_name() -> None:
    facts = facts_of(pool(), models={})
    assert condition(told(facts), "Stalled") == ("True", "ModelNotFound")


def test_serving_pool_is_left_alone_while_its_model_is_pulled_again() -> None:
    first = plan_pool(facts_of(pool()), SETTINGS)
    facts = facts_of(pool(), models={"tiny": model()}, children=live(first), deployment=WHOLE)
    assert plan_pool(facts, SETTINGS).changes == ()


def test_settled_pool_changes_nothing_and_waits_for_nothing() -> None:
    first = plan_pool(facts_of(pool()), SETTINGS)
    facts = facts_of(
        pool(), children=live(first), deployment=WHOLE, pods=(READY_POD,), reports={"p1": PROVEN}
    )
    plan = plan_pool(facts, SETTINGS)
    assert plan.changes == ()
    assert plan.outcome == Done()
    status = told(facts, plan)
    assert condition(status, "Ready") == ("True", "Ready")
    assert status.models[0].state == "Loaded"
    assert status.models[0].digest == DIGEST


def test_ready_pods_are_not_enough_without_proof() -> None:
    facts = facts_of(pool(), deployment=WHOLE, pods=(READY_POD,))
    plan = plan_pool(facts, SETTINGS)
    assert plan.outcome == Wait(SETTINGS.delays.engine_poll)
    assert condition(told(facts, plan), "Ready") == ("False", "NotChecked")


def test_wrong_digest_stalls_and_names_the_pod() -> None:
    wrong = LoadedModel("tiny", "sha256:" + "c" * 64, error="tiny is served from another blob.")
    report = replace(PROVEN, models=(wrong,))
    facts = facts_of(pool(), deployment=WHOLE, pods=(READY_POD,), reports={"p1": report})
    status = told(facts)
    assert condition(status, "Stalled") == ("True", "WrongModel")
    assert "chat-1" in {each.type: each.message for each in status.conditions}["Ready"]


def test_hundred_names_of_one_gpu_problem_are_one_sentence() -> None:
    message = "0/3 nodes are available: 3 Insufficient nvidia.com/gpu. preemption: not eligible."
    pod = replace(WAITING_POD, unschedulable_message=message)
    status = told(facts_of(pool(hardware={"gpus": 1}), pods=(pod,)))
    assert condition(status, "Stalled") == ("True", "InsufficientGPU")
    assert "nvidia.com/gpu" in status.diagnosis[0].cause


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('0/1 nodes: persistentvolumeclaim "w" not found.', "ClaimNotFound"),
        ("0/1 nodes: pod has unbound immediate PersistentVolumeClaims.", "ClaimUnbound"),
        ("0/1 nodes: 1 node(s) had volume node affinity conflict.", "ClaimUnreachable"),
        ("0/1 nodes: 1 Insufficient memory.", "Unschedulable"),
        ("0/1 nodes: 1 node(s) didn't match Pod's node affinity/selector.", "Unschedulable"),
    ],
)
def test_unschedulable_pods_say_why(message: str, reason: str) -> None:
    pod = replace(WAITING_POD, unschedulable_message=message)
    assert condition(told(facts_of(pool(), pods=(pod,))), "Scheduled") == ("False", reason)


@pytest.mark.parametrize(
    ("container", "reason"),
    [
        (ContainerFact("engine", waiting_reason="ImagePullBackOff"), "ImagePullFailed"),
        (ContainerFact("engine", waiting_reason="CreateContainerConfigError"), "ContainerConfig"),
        (ContainerFact("engine", last_exit_reason="OOMKilled", memory_limit="1Gi"), "OutOfMemory"),
        (
            ContainerFact("engine", waiting_reason="CrashLoopBackOff", last_exit_code=1),
            "CrashLoop",
        ),
    ],
)
def test_bad_new_revision_says_so_and_the_old_one_keeps_serving(
    container: ContainerFact, reason: str
) -> None:
    bad = PodFact(name="chat-2", uid="p2", phase="Pending", scheduled=True, containers=(container,))
    rolling = replace(WHOLE, replicas=2, updated=1, ready=1)
    facts = facts_of(pool(), deployment=rolling, pods=(READY_POD, bad), reports={"p1": PROVEN})
    status = told(facts)
    assert condition(status, "EnginesReady") == ("False", reason)
    message = {each.type: each.message for each in status.conditions}["EnginesReady"]
    assert "previous revision keeps serving" in message


def test_missing_secret_of_a_mount_is_named() -> None:
    event = EventFact("Pod/chat-1", "FailedMount", 'MountVolume: secret "token" not found')
    pod = replace(WAITING_POD, scheduled=True)
    status = told(facts_of(pool(), pods=(pod,), deployment=WHOLE, events=(event,)))
    assert status.diagnosis[0].object == "Secret/token"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("pods is forbidden: exceeded quota: q, requested: pods=1", "QuotaExceeded"),
        ('pods is forbidden: violates PodSecurity "restricted:latest"', "PodSecurity"),
    ],
)
def test_refused_pods_say_why(message: str, reason: str) -> None:
    refused = replace(WHOLE, replicas=0, ready=0, updated=0, replica_failure=message)
    status = told(facts_of(pool(), deployment=refused))
    assert condition(status, "Stalled") == ("True", reason)


def test_pool_scaled_to_zero_is_ready_and_empty() -> None:
    zero = replace(WHOLE, replicas=0, ready=0, updated=0, available=0)
    facts = facts_of(pool(replicas=0), deployment=zero)
    plan = plan_pool(facts, SETTINGS)
    assert deployment_of(plan)["spec"]["replicas"] == 0
    assert condition(told(facts, plan), "Ready") == ("True", "Ready")


def test_budget_comes_and_goes_with_the_second_replica() -> None:
    two = plan_pool(facts_of(pool(replicas=2)), SETTINGS)
    assert "PodDisruptionBudget" in applied(two)
    children = live(two)
    for manifest in children.manifests.values():
        manifest["metadata"].update({"uid": "x", "resourceVersion": "3"})  # type: ignore[index,union-attr]  # live objects have them
    one = plan_pool(facts_of(pool(), children=children), SETTINGS)
    deleted = [change.kind.kind for change in one.changes if isinstance(change, Delete)]
    assert deleted == ["PodDisruptionBudget"]


def test_child_of_a_stranger_is_refused_by_name() -> None:
    stranger = {
        "kind": "Service",
        "metadata": {"name": "chat", "namespace": "team", "uid": "x"},
    }
    facts = facts_of(pool(), children=Children({("Service", "chat"): stranger}))
    plan = plan_pool(facts, SETTINGS)
    assert "Service" not in applied(plan)
    assert condition(told(facts, plan), "Stalled") == ("True", "NameConflict")


def test_rollout_never_takes_a_replica_away_before_its_successor_is_ready() -> None:
    strategy = deployment_of(plan_pool(facts_of(pool()), SETTINGS))["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}


def test_hardware_reaches_the_pod() -> None:
    hardware = {
        "gpus": 2,
        "resourceName": "nvidia.com/mig-1g.10gb",
        "gpuTypes": ["a100", "h100"],
        "memory": "8Gi",
        "cpu": 2,
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "runtimeClassName": "nvidia",
        "priorityClassName": "high",
    }
    pod = deployment_of(plan_pool(facts_of(pool(hardware=hardware)), SETTINGS))["spec"]["template"][
        "spec"
    ]
    resources = pod["containers"][0]["resources"]
    assert resources["limits"] == {"memory": "8Gi", "nvidia.com/mig-1g.10gb": "2"}
    assert resources["requests"]["cpu"] == "2"
    assert pod["nodeSelector"] == {"zone": "a"}
    assert pod["tolerations"] == [
        {"key": "gpu", "operator": "Exists"},
        {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"},
    ]
    assert (pod["runtimeClassName"], pod["priorityClassName"]) == ("nvidia", "high")
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"][
        "nodeSelectorTerms"
    ]
    assert term["matchExpressions"][0]["values"] == ["a100", "h100"]


def test_memory_too_small_for_the_weights_is_said_with_the_arithmetic() -> None:
    facts = facts_of(pool(hardware={"memory": "100Mi"}))
    status = told(facts)
    assert condition(status, "Stalled") == ("True", "DoesNotFit")
    assert status.fit is not None
    assert status.fit.needed_bytes > (status.fit.limit_bytes or 0)


def test_every_pod_of_a_pool_passes_pod_security_restricted() -> None:
    for engine in ("LlamaCpp", "Ollama", "VLLM"):
        pod = deployment_of(plan_pool(facts_of(pool(engine)), SETTINGS))["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["automountServiceAccountToken"] is False
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
