"""What is wrong with a pod, in plain words with a way out; shared by both kinds.

Pure. Reads the pod's own status and the warnings recorded about it; messages hold no counters and
no times, so that the same trouble gives the same text.
"""

import re
from collections.abc import Sequence

from paddock.api.base import Diagnosis
from paddock.api.reasons import Reason
from paddock.facts import EventFact, PodFact
from paddock.status.container_diagnosis import diagnose_container
from paddock.status.scheduling import diagnose_scheduling
from paddock.status.wording import shortened

_PASSING = re.compile(r'failed to sync (configmap|secret) cache|is forbidden: User "system:node:')
"""What the kubelet sees, or the apiserver lets it see, is a moment behind on a busy node; the
kubelet tries again by itself."""
_MOUNT_EVENTS = frozenset({"FailedMount", "FailedAttachVolume"})
NO_SECRET = re.compile(r'secret "([^"]+)" not found')
_TEMPLATE = re.compile(r'resource claim template "([^"]+)"')
_DEVICE = re.compile(r"UnexpectedAdmissionError|^OutOf[a-z0-9.-]+/")


def diagnose_pod(pod: PodFact, events: Sequence[EventFact] = ()) -> tuple[Diagnosis, ...]:
    """Return the cause that keeps this pod from running, or nothing."""
    name = f"Pod/{pod.name}"
    if pod.unschedulable_message is not None:
        return (diagnose_scheduling(name, pod.unschedulable_message),)
    found = [
        cause
        for container in (*pod.init_containers, *pod.containers)
        if (cause := diagnose_container(name, container)) is not None
    ]
    if not found and pod.phase == "Failed" and pod.reason is not None:
        found = [_ended(name, pod.reason, pod.message or "")]
    if not found and not pod.ready:
        found = [
            cause
            for event in events
            if event.object == name and (cause := _warned(name, event)) is not None
        ]
    return tuple(found[:1])


def _ended(name: str, reason: str, message: str) -> Diagnosis:
    """Word why the node gave the pod up: eviction, or a device that is gone."""
    if _DEVICE.search(reason):
        return Diagnosis(
            object=name,
            reason=Reason.INSUFFICIENT_GPU,
            cause="The node could not give the pod the GPU it had promised.",
            fix="Check the health of the node's GPUs and its device plugin.",
        )
    return Diagnosis(
        object=name,
        reason=Reason.UNSCHEDULABLE,
        cause=f"The node gave the pod up ({reason}): {shortened(message)}.",
        fix="Nothing, if another pod takes its place; else give the nodes more of what is named.",
    )


def _warned(name: str, event: EventFact) -> Diagnosis | None:
    if event.reason == "FailedCreatePodSandBox":
        return Diagnosis(
            object=name,
            reason=Reason.CONTAINER_CONFIG,
            cause="The node cannot start pods: its runtime or network plugin failed.",
            fix="Ask who runs the node; its kubelet's events say more.",
        )
    template = _TEMPLATE.search(event.message)
    if event.reason == "FailedResourceClaimCreation" and template:
        return Diagnosis(
            object=f"ResourceClaimTemplate/{template[1]}",
            reason=Reason.UNSCHEDULABLE,
            cause=f"The template {template[1]} makes no device claim for the pod.",
            fix="Create it in this namespace, or correct hardware.deviceClaim.",
        )
    if event.reason not in _MOUNT_EVENTS or _PASSING.search(event.message):
        return None
    return _mount(name, event.message)


def _mount(name: str, message: str) -> Diagnosis:
    secret = NO_SECRET.search(message)
    if secret:
        return Diagnosis(
            object=f"Secret/{secret[1]}",
            reason=Reason.CREDENTIALS_MISSING,
            cause=f"The Secret {secret[1]} does not exist.",
            fix="Create it in this namespace, or correct credentials.secretName.",
        )
    if "Multi-Attach error" in message:
        return Diagnosis(
            object=name,
            reason=Reason.CLAIM_UNREACHABLE,
            cause="The volume of the weights is attached to another node.",
            fix="Use a ReadWriteMany class, or let all pods of the claim run on one node.",
        )
    return Diagnosis(
        object=name,
        reason=Reason.CLAIM_UNREACHABLE,
        cause=f"A volume cannot be mounted: {shortened(message)}.",
        fix="Check the claim's access mode and the storage driver on the node.",
    )
