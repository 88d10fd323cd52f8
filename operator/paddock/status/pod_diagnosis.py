"""What is wrong with a pod, in plain words with a way out; shared by both kinds.

Pure. Reads the pod's own status and the warnings recorded about it; messages hold no counters and
no times, so that the same trouble gives the same text.
"""

import re
from collections.abc import Sequence

from paddock.api.base import Diagnosis
from paddock.api.reasons import Reason
from paddock.facts import ContainerFact, EventFact, PodFact

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
     "ImageInspectError", "RegistryUnavailable"}
)  # fmt: skip
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_MOUNT_EVENTS = frozenset({"FailedMount", "FailedAttachVolume"})
_SECRET = re.compile(r'secret "([^"]+)" not found')
_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" not found')
_GPU = re.compile(r"Insufficient ([a-z0-9.-]+/[A-Za-z0-9.-]+)")
_RESOURCE = re.compile(r"Insufficient (cpu|memory)")
_LONGEST = 300


def diagnose_pod(pod: PodFact, events: Sequence[EventFact] = ()) -> tuple[Diagnosis, ...]:
    """Return the causes that keep this pod from running, most basic first."""
    if pod.unschedulable_message is not None:
        return (_unschedulable(pod, pod.unschedulable_message),)
    found = [
        cause
        for container in (*pod.init_containers, *pod.containers)
        if (cause := _container(pod, container)) is not None
    ]
    if not found and not pod.ready:
        found = [
            cause
            for event in events
            if event.object == f"Pod/{pod.name}" and (cause := _mount(pod, event)) is not None
        ]
    return tuple(found[:1])


def _unschedulable(pod: PodFact, message: str) -> Diagnosis:
    name = f"Pod/{pod.name}"
    gpu, claim, resource = _GPU.search(message), _CLAIM.search(message), _RESOURCE.search(message)
    if claim:
        return Diagnosis(
            object=f"PersistentVolumeClaim/{claim[1]}",
            reason=Reason.CLAIM_NOT_FOUND,
            cause=f"The claim {claim[1]} does not exist.",
            fix="Create the claim, or correct storage.claimName.",
        )
    if gpu:
        return Diagnosis(
            object=name,
            reason=Reason.INSUFFICIENT_GPU,
            cause=f"No node has enough free {gpu[1]} for a replica.",
            fix="Free or add GPUs, lower hardware.gpus or replicas, or correct resourceName.",
        )
    if "unbound immediate PersistentVolumeClaims" in message or "didn't find available" in message:
        return Diagnosis(
            object=name,
            reason=Reason.CLAIM_UNBOUND,
            cause="The claim of the weights is not bound to a volume.",
            fix="Check that the storage class exists and can make a volume of this size.",
        )
    if "volume node affinity conflict" in message:
        return Diagnosis(
            object=name,
            reason=Reason.CLAIM_UNREACHABLE,
            cause="The volume of the weights is on a node or zone where the pod may not run.",
            fix="Use a ReadWriteMany class, or let nodeSelector and gpuTypes match that node.",
        )
    if resource:
        return Diagnosis(
            object=name,
            reason=Reason.UNSCHEDULABLE,
            cause=f"No node has enough free {resource[1]}.",
            fix=f"Free or add nodes, or lower hardware.{resource[1]}.",
        )
    return Diagnosis(
        object=name,
        reason=Reason.UNSCHEDULABLE,
        cause=f"No node fits: {_short(message)}",
        fix="Compare nodeSelector, gpuTypes and tolerations with the nodes' labels and taints.",
    )


def _container(pod: PodFact, container: ContainerFact) -> Diagnosis | None:
    name = f"Pod/{pod.name}"
    if container.waiting_reason in _IMAGE:
        return Diagnosis(
            object=name,
            reason=Reason.IMAGE_PULL_FAILED,
            cause=f"The image of container {container.name} cannot be pulled.",
            fix="Correct engine.image, or let the nodes reach and log in to its registry.",
        )
    if container.waiting_reason in _CONFIG:
        return Diagnosis(
            object=name,
            reason=Reason.CONTAINER_CONFIG,
            cause=f"The container cannot be made: {_short(container.waiting_message or '')}",
            fix="Correct the object the message names.",
        )
    if "OOMKilled" in (container.exit_reason, container.last_exit_reason):
        limit = container.memory_limit or "its limit"
        return Diagnosis(
            object=name,
            reason=Reason.OUT_OF_MEMORY,
            cause=f"Container {container.name} was killed at its memory limit of {limit}.",
            fix="Raise hardware.memory, lower serving.contextLength, or choose a smaller model.",
        )
    if container.waiting_reason == "CrashLoopBackOff":
        return Diagnosis(
            object=name,
            reason=Reason.CRASH_LOOP,
            cause=f"Container {container.name} exits with code {container.last_exit_code}: "
            f"{_short(container.last_exit_message or 'it left no message')}",
            fix="Check engine.args and engine.env, and that the image serves this model.",
        )
    return None


def _mount(pod: PodFact, event: EventFact) -> Diagnosis | None:
    if event.reason not in _MOUNT_EVENTS:
        return None
    secret = _SECRET.search(event.message)
    if secret:
        return Diagnosis(
            object=f"Secret/{secret[1]}",
            reason=Reason.CREDENTIALS_MISSING,
            cause=f"The Secret {secret[1]} does not exist.",
            fix="Create it in this namespace, or correct credentials.secretName.",
        )
    return Diagnosis(
        object=f"Pod/{pod.name}",
        reason=Reason.CLAIM_UNREACHABLE,
        cause=f"A volume cannot be mounted: {_short(event.message)}",
        fix="Check the claim's access mode and the storage driver on the node.",
    )


def _short(message: str) -> str:
    line = " ".join(message.split())
    cut = line[:_LONGEST].rstrip(".")
    return f"{cut}."
