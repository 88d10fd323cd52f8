"""Raw Kubernetes objects turned into facts.

Pure: reads what the cluster says of one object and decides nothing.
"""

from collections.abc import Mapping

from paddock import names
from paddock.facts import (
    ClaimFact,
    ContainerFact,
    DeploymentFact,
    EventFact,
    JobFact,
    PodFact,
)
from paddock.raw import at, flag, items, moment, named, number, text, texts
from paddock.wire import Json, Manifest


def pod_fact(pod: Manifest) -> PodFact:
    """Read one pod."""
    scheduled = named(pod, "type", "PodScheduled", "status", "conditions")
    ready = named(pod, "type", "Ready", "status", "conditions")
    limits = {
        text(container, "name"): text(container, "resources", "limits", "memory")
        for container in items(pod, "spec", "containers")
    }
    return PodFact(
        name=text(pod, "metadata", "name") or "",
        uid=text(pod, "metadata", "uid") or "",
        phase=text(pod, "status", "phase") or "Pending",
        ip=text(pod, "status", "podIP"),
        node=text(pod, "spec", "nodeName"),
        ready=ready.get("status") == "True",
        deleting=text(pod, "metadata", "deletionTimestamp") is not None,
        scheduled=text(pod, "spec", "nodeName") is not None,
        unschedulable_message=text(scheduled, "message")
        if scheduled.get("status") == "False"
        else None,
        reason=text(pod, "status", "reason"),
        message=text(pod, "status", "message"),
        owner_uid=next((text(owner, "uid") for owner in _owners(pod)), None),
        revision=text(pod, "metadata", "annotations", names.REVISION_ANNOTATION),
        containers=tuple(
            _container_fact(status, limits) for status in items(pod, "status", "containerStatuses")
        ),
        init_containers=tuple(
            _container_fact(status, {}) for status in items(pod, "status", "initContainerStatuses")
        ),
    )


def _owners(manifest: Manifest) -> tuple[Mapping[str, Json], ...]:
    return tuple(items(manifest, "metadata", "ownerReferences"))


def _container_fact(
    status: Mapping[str, Json], limits: Mapping[str | None, str | None]
) -> ContainerFact:
    name = text(status, "name") or ""
    ended, before = at(status, "state", "terminated"), at(status, "lastState", "terminated")
    return ContainerFact(
        name=name,
        ready=flag(status, "ready"),
        started=flag(status, "started"),
        restarts=number(status, "restartCount"),
        waiting_reason=text(status, "state", "waiting", "reason"),
        waiting_message=text(status, "state", "waiting", "message"),
        exit_code=number(ended, "exitCode") if ended is not None else None,
        exit_reason=text(ended, "reason"),
        exit_message=text(ended, "message"),
        last_exit_code=number(before, "exitCode") if before is not None else None,
        last_exit_reason=text(before, "reason"),
        last_exit_message=text(before, "message"),
        memory_limit=limits.get(name),
        image=text(status, "image"),
        running_since=text(status, "state", "running", "startedAt"),
    )


def job_fact(job: Manifest) -> JobFact:
    """Read one Job; its result comes from its pods and is joined by the caller."""
    failed = named(job, "type", "Failed", "status", "conditions")
    complete = named(job, "type", "Complete", "status", "conditions")
    return JobFact(
        name=text(job, "metadata", "name") or "",
        uid=text(job, "metadata", "uid") or "",
        resource_version=text(job, "metadata", "resourceVersion") or "",
        plan_hash=text(job, "metadata", "annotations", names.PLAN_ANNOTATION),
        purpose=text(job, "metadata", "labels", names.COMPONENT_LABEL) or "",
        complete=complete.get("status") == "True",
        failed=failed.get("status") == "True",
        failed_reason=text(failed, "reason"),
        failed_message=text(failed, "message"),
        finished_at=moment(complete or failed, "lastTransitionTime"),
        deleting=text(job, "metadata", "deletionTimestamp") is not None,
        request=text(job, "metadata", "annotations", names.REQUEST_ANNOTATION),
    )


def claim_fact(claim: Manifest) -> ClaimFact:
    """Read one PersistentVolumeClaim."""
    return ClaimFact(
        name=text(claim, "metadata", "name") or "",
        uid=text(claim, "metadata", "uid") or "",
        resource_version=text(claim, "metadata", "resourceVersion") or "",
        phase=text(claim, "status", "phase") or "Pending",
        capacity=text(claim, "status", "capacity", "storage"),
        requested=text(claim, "spec", "resources", "requests", "storage"),
        access_modes=texts(claim, "spec", "accessModes"),
        storage_class=text(claim, "spec", "storageClassName"),
        made_for=text(claim, "metadata", "labels", names.MODEL_LABEL),
        deleting=text(claim, "metadata", "deletionTimestamp") is not None,
    )


def deployment_fact(deployment: Manifest) -> DeploymentFact:
    """Read one Deployment."""
    progressing = named(deployment, "type", "Progressing", "status", "conditions")
    failure = named(deployment, "type", "ReplicaFailure", "status", "conditions")
    return DeploymentFact(
        name=text(deployment, "metadata", "name") or "",
        uid=text(deployment, "metadata", "uid") or "",
        generation=number(deployment, "metadata", "generation"),
        observed_generation=number(deployment, "status", "observedGeneration"),
        asked=number(deployment, "spec", "replicas"),
        replicas=number(deployment, "status", "replicas"),
        updated=number(deployment, "status", "updatedReplicas"),
        ready=number(deployment, "status", "readyReplicas"),
        available=number(deployment, "status", "availableReplicas"),
        progressing_reason=text(progressing, "reason"),
        progressing_message=text(progressing, "message"),
        replica_failure=text(failure, "message") if failure.get("status") == "True" else None,
    )


def event_fact(event: Manifest) -> EventFact:
    """Read one recorded event about an object of ours."""
    kind = text(event, "involvedObject", "kind") or "Object"
    name = text(event, "involvedObject", "name") or ""
    return EventFact(
        object=f"{kind}/{name}",
        reason=text(event, "reason") or "",
        message=text(event, "message") or "",
    )
