"""Facts about pools in the states that tests need: settled, rolling, broken."""

from dataclasses import replace
from datetime import UTC, datetime

from paddock.api.base import Diagnosis
from paddock.api.inferencepool import EngineName, InferencePool, InferencePoolStatus
from paddock.api.localmodel import LocalModel
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import (
    Children,
    ContainerFact,
    DeploymentFact,
    EngineReport,
    EventFact,
    GatewayState,
    LoadedModel,
    PodFact,
    PoolFacts,
)
from paddock.plan.changes import stamped
from paddock.plan.pool import plan_pool
from paddock.settings import Settings
from paddock.status.pool import status_of_pool
from paddock.wire import Json, Manifest
from support.rules import check_status
from support.stores import pool_of, ready_model

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
SETTINGS = Settings()
DIGEST = f"sha256:{'a' * 64}"
OTHER_DIGEST = f"sha256:{'b' * 64}"
ENGINE = ContainerFact("engine", ready=True, started=True, memory_limit="8Gi", image="engine:1")


def identity(manifest: Manifest) -> tuple[str, str]:
    metadata = manifest["metadata"]
    assert isinstance(metadata, dict)
    return str(manifest["kind"]), str(metadata["name"])


def live(manifest: Manifest, uid: str = "uid-child") -> Manifest:
    """Return an applied manifest as the apiserver would give it back."""
    whole = stamped(manifest)
    metadata = whole["metadata"]
    assert isinstance(metadata, dict)
    return {**whole, "metadata": {**metadata, "uid": uid, "resourceVersion": "7"}}


def scaled(manifest: Manifest, replicas: int) -> Manifest:
    """Return a Deployment as it is once its number of replicas is written apart from it."""
    spec = manifest.get("spec")
    if manifest["kind"] != "Deployment" or not isinstance(spec, dict) or "replicas" in spec:
        return manifest
    return {**manifest, "spec": {**spec, "replicas": replicas}}


def fresh(
    engine: EngineName = EngineName.LLAMA_CPP,
    /,
    *,
    known: tuple[LocalModel, ...] | None = None,
    **spec: Json,
) -> PoolFacts:
    """Return the facts of a pool that was made just now, over models that are Ready."""
    known = known if known is not None else (ready_model("alpha", DIGEST),)
    listed = () if "models" in spec else tuple(model.metadata.name for model in known)
    pool = pool_of(engine, *listed, **spec)
    return PoolFacts(
        pool=pool,
        now=NOW,
        models={model.metadata.name: model for model in known},
        gateway=serving(pool),
    )


def serving(pool: InferencePool) -> GatewayState:
    """Return a gateway that has taken the pool's routes."""
    uid = pool.metadata.uid
    return GatewayState(
        ready=True,
        reason=Reason.READY,
        message="http://paddock-gateway.team.svc serves the pool's models.",
        routes=frozenset((uid, each.served_as) for each in pool.spec.models),
    )


def settled(facts: PoolFacts, settings: Settings = SETTINGS) -> PoolFacts:
    """Return the facts once every child is there and every engine has proven its models."""
    for _ in range(2):  # a Deployment hands over its number of replicas once it is there
        plan = plan_pool(facts, settings)
        children = {identity(each): scaled(live(each), plan.replicas) for each in plan.wanted}
        facts = replace(facts, children=Children(children))
    pods = tuple(ready_pod(index) for index in range(plan.replicas))
    answers = tuple(
        LoadedModel(model.served_as, model.digest, loaded=model.preload, generated=model.preload)
        for model in plan.models
    )
    return replace(
        facts,
        deployment=deployment(plan.replicas),
        pods=pods,
        reports={pod.uid: EngineReport(pod.name, answering=True, models=answers) for pod in pods},
    )


def deployment(replicas: int, **other: int | str) -> DeploymentFact:
    """Return a Deployment whose replicas are all ready and of the newest revision."""
    fact = DeploymentFact(
        name="chat", uid="uid-deployment", generation=1, observed_generation=1,
        asked=replicas, replicas=replicas, updated=replicas, ready=replicas, available=replicas,
    )  # fmt: skip
    return replace(fact, **other)  # type: ignore[arg-type]  # the tests' own field names


def ready_pod(index: int = 0) -> PodFact:
    return PodFact(
        name=f"chat-{index}", uid=f"uid-pod-{index}", phase="Running", ip=f"10.0.0.{index + 1}",
        node="node-a", ready=True, scheduled=True, containers=(ENGINE,),
    )  # fmt: skip


def waiting_pod(container: ContainerFact, index: int = 0) -> PodFact:
    """Return a pod on a node whose engine is not ready."""
    return replace(
        ready_pod(index), phase="Pending", ready=False,
        containers=(replace(container, ready=False, started=False),),
    )  # fmt: skip


def homeless_pod(message: str, index: int = 0) -> PodFact:
    """Return a pod that no node takes."""
    return PodFact(
        name=f"chat-{index}", uid=f"uid-pod-{index}", phase="Pending",
        unschedulable_message=message,
    )  # fmt: skip


def status_of(facts: PoolFacts, settings: Settings = SETTINGS) -> InferencePoolStatus:
    """Return the status of the facts, after the rule checker has passed it.

    Pods are of the newest revision where the test does not say which.
    """
    plan = plan_pool(facts, settings)
    pods = tuple(replace(pod, revision=pod.revision or plan.revision) for pod in facts.pods)
    status = status_of_pool(replace(facts, pods=pods), plan, ())
    check_status(status, generation=facts.pool.metadata.generation)
    return status


def said(status: InferencePoolStatus, kind: ConditionType) -> tuple[str, str]:
    """Return a condition's status and reason."""
    return next((each.status, each.reason) for each in status.conditions if each.type == kind)


def summary(status: InferencePoolStatus) -> dict[str, str]:
    """Return every condition as STATUS/REASON."""
    return {each.type: f"{each.status}/{each.reason}" for each in status.conditions}


def at_generation(pool: InferencePool, generation: int, **spec: Json) -> InferencePool:
    """Return the pool after an edit of its spec."""
    whole = pool.model_dump(by_alias=True, exclude_none=True)
    whole["spec"] = {**whole["spec"], **spec}
    whole["metadata"]["generation"] = generation
    return InferencePool.model_validate(whole)


def with_pod(pod: PodFact, *events: EventFact) -> PoolFacts:
    """Return the facts of a pool whose one replica is not ready."""
    return replace(
        settled(fresh()),
        pods=(pod,),
        events=events,
        deployment=deployment(1, ready=0, available=0),
        reports={},
    )


def only_cause(facts: PoolFacts) -> Diagnosis:
    """Return the one cause that is told."""
    (cause,) = status_of(facts).diagnosis
    return cause
