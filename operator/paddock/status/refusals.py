"""What the cluster refuses: a write of ours, or a controller's pods. Pure.

A Deployment tells of refused pods in a condition, a Job only in its events; the words are the same.
"""

from paddock.api.base import Diagnosis
from paddock.api.reasons import Reason
from paddock.facts import Refusal
from paddock.status.wording import shortened


def diagnose_refusal(refusal: Refusal) -> Diagnosis:
    """Return the cause that a refused write is."""
    return Diagnosis(
        object=refusal.object,
        reason=refusal.reason,
        cause=f"{shortened(refusal.message)}.",
        fix="Change what the message names; it is tried again by itself.",
    )


def diagnose_refused_pods(owner: str, message: str, *, smaller: str) -> Diagnosis:
    """Return the cause; `smaller` says what to lower where a quota is used up."""
    if "exceeded quota" in message:
        reason, fix = Reason.QUOTA_EXCEEDED, f"Raise the namespace's quota, or lower {smaller}."
    elif "failed quota" in message:
        reason, fix = Reason.QUOTA_EXCEEDED, f"Set what the quota demands: {smaller}."
    elif "violates PodSecurity" in message:
        reason, fix = Reason.POD_SECURITY, "Let the namespace allow at least the restricted level."
    else:
        reason, fix = Reason.ADMISSION_FAILED, "Change what the message names."
    return Diagnosis(
        object=owner,
        reason=reason,
        cause=f"The cluster refuses the pods: {shortened(_after_name(message))}.",
        fix=fix,
    )


def _after_name(message: str) -> str:
    """Drop the refused pod's own name, which is a new one at each try."""
    _, found, rest = message.partition(" is forbidden: ")
    return rest if found else message
