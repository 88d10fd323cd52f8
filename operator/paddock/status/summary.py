"""Ready, Reconciling and Stalled from the other conditions, by kstatus' rules.

Pure. Ready is always there; Reconciling and Stalled only while they are true, and never both.
"""

from collections.abc import Collection, Sequence

from paddock.api.reasons import ConditionType, Reason
from paddock.status.conditions import Verdict, false, true

STALLING = frozenset(
    {
        Reason.INVALID_SPEC, Reason.MODEL_NOT_FOUND, Reason.MODEL_STALLED, Reason.UNSUPPORTED_FIELD,
        Reason.UNSUPPORTED_FORMAT, Reason.NAME_CONFLICT, Reason.SOURCE_UNAUTHORIZED,
        Reason.SOURCE_NOT_FOUND, Reason.SOURCE_FORBIDDEN, Reason.SOURCE_REFUSED,
        Reason.DIGEST_MISMATCH, Reason.INVALID_ARTIFACT, Reason.CREDENTIALS_MISSING,
        Reason.INSUFFICIENT_STORAGE, Reason.CLAIM_NOT_FOUND, Reason.CLAIM_LOST,
        Reason.CLAIM_UNBOUND, Reason.CLAIM_UNREACHABLE, Reason.UNSCHEDULABLE,
        Reason.INSUFFICIENT_GPU, Reason.IMAGE_PULL_FAILED, Reason.OUT_OF_MEMORY,
        Reason.CRASH_LOOP, Reason.CONTAINER_CONFIG, Reason.ROLLOUT_FAILED, Reason.WRONG_MODEL,
        Reason.QUOTA_EXCEEDED, Reason.POD_SECURITY, Reason.FORBIDDEN, Reason.ADMISSION_FAILED,
        Reason.DOES_NOT_FIT, Reason.NO_ANSWER, Reason.GATEWAY_CONFIG_REFUSED,
        Reason.GATEWAY_CONFLICT, Reason.CERTIFICATE_INVALID,
        Reason.NOT_EXPOSED,
    }
)  # fmt: skip
"""Reasons that waiting does not cure: somebody has to change something."""


def summarise(
    verdicts: Sequence[Verdict],
    ready_message: str,
    *,
    stalling_now: Collection[Reason] = (),
) -> tuple[Verdict, ...]:
    """Return Ready and, while it is not, Stalled or Reconciling; the first bad verdict tells why.

    A stalling verdict goes before one that only needs patience; `stalling_now` names reasons that
    have had all the patience they get.
    """
    open_ones = [verdict for verdict in verdicts if verdict.status != "True"]
    if not open_ones:
        return (true(ConditionType.READY, Reason.READY, ready_message),)
    stalling = [
        verdict
        for verdict in open_ones
        if verdict.status == "False" and verdict.reason in {*STALLING, *stalling_now}
    ]
    cause = (stalling or open_ones)[0]
    kind = ConditionType.STALLED if stalling else ConditionType.RECONCILING
    return (
        false(ConditionType.READY, cause.reason, cause.message),
        true(kind, cause.reason, cause.message),
    )
