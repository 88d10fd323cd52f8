"""What the scheduler's message means for a user: which object to change, and how. Pure.

The message counts nodes, so it is kept only where no sentence of ours says it better.
"""

import re

from paddock.api.base import Diagnosis
from paddock.api.reasons import Reason
from paddock.status.wording import shortened

_CLAIM = re.compile(r'persistentvolumeclaim "([^"]+)" (not found|is being deleted)')
_EXTENDED = re.compile(r"Insufficient ([a-z0-9.-]+/[A-Za-z0-9._-]*[A-Za-z0-9])")
_RESOURCE = re.compile(r"Insufficient (cpu|memory|ephemeral-storage)")
_TAINT = re.compile(r"untolerated taint\(?s?\)? ?\{([^:}]+)")
_PREEMPTION = " preemption:"


def diagnose_scheduling(pod: str, message: str) -> Diagnosis:
    """Return why no node takes the pod; a GPU that is missing goes before what else is."""
    words, _, _ = message.partition(_PREEMPTION)
    return _claim(pod, words) or _device(pod, words) or _node(pod, words)


def _claim(pod: str, message: str) -> Diagnosis | None:
    named = _CLAIM.search(message)
    if named:
        return Diagnosis(
            object=f"PersistentVolumeClaim/{named[1]}",
            reason=Reason.CLAIM_NOT_FOUND,
            cause=f"The claim {named[1]} does not exist or is being deleted.",
            fix="Create the claim, or correct storage.claimName of the LocalModel.",
        )
    if "unbound immediate PersistentVolumeClaims" in message or "didn't find available" in message:
        return Diagnosis(
            object=pod,
            reason=Reason.CLAIM_UNBOUND,
            cause="The claim of the weights is not bound to a volume.",
            fix="Check that its storage class exists and can make a volume of this size.",
        )
    if "ReadWriteOncePod" in message:
        return Diagnosis(
            object=pod,
            reason=Reason.CLAIM_UNREACHABLE,
            cause="The claim of the weights is ReadWriteOncePod and another pod has it.",
            fix="Use a claim with ReadWriteOnce or ReadWriteMany: replicas and rollouts share it.",
        )
    if "volume node affinity conflict" in message or "node affinity conflict" in message:
        return Diagnosis(
            object=pod,
            reason=Reason.CLAIM_UNREACHABLE,
            cause="The volume of the weights is on a node or in a zone where the pod may not run.",
            fix="Use a ReadWriteMany class, or let nodeSelector and gpuTypes allow that node.",
        )
    return None


def _device(pod: str, message: str) -> Diagnosis | None:
    if "cannot allocate all claims" in message:
        return Diagnosis(
            object=pod,
            reason=Reason.INSUFFICIENT_GPU,
            cause="No node that the pool may use has the devices that its claim asks for.",
            fix="Free or add devices, or correct the template that hardware.deviceClaim names.",
        )
    missing = _EXTENDED.search(message)
    if missing is None:
        return None
    return Diagnosis(
        object=pod,
        reason=Reason.INSUFFICIENT_GPU,
        cause=f"No node that the pool may use has enough free {missing[1]}.",
        fix="Free or add GPUs, lower hardware.gpus or replicas, or correct resourceName.",
    )


def _node(pod: str, message: str) -> Diagnosis:
    missing, taint = _RESOURCE.search(message), _TAINT.search(message)
    if missing:
        cause = f"No node that the pool may use has enough free {missing[1]}."
        fix = f"Free or add nodes, or lower hardware.{missing[1]}."
    elif "affinity/selector" in message:
        cause = "No node has the labels that the pool asks for."
        fix = "Compare hardware.nodeSelector and hardware.gpuTypes with the nodes' labels."
    elif taint:
        cause = f"The nodes refuse the pod by their taint {taint[1]}."
        fix = "Add it to hardware.tolerations, or choose other nodes."
    elif "Too many pods" in message:
        cause, fix = "The nodes hold as many pods as they may.", "Add nodes, or free some."
    else:
        cause = f"No node takes the pod: {shortened(message)}."
        fix = "Compare the pool's hardware with the nodes."
    return Diagnosis(object=pod, reason=Reason.UNSCHEDULABLE, cause=cause, fix=fix)
