"""What the status says when a pass could not be finished: Ready is not known, and why. Pure."""

from datetime import datetime
from typing import TypeVar

from paddock.api.base import Condition
from paddock.api.inferencepool import InferencePoolStatus
from paddock.api.localmodel import LocalModelStatus
from paddock.api.reasons import ConditionType, Reason
from paddock.errors import PaddockError
from paddock.status.conditions import Verdict, merge, true, unknown
from paddock.status.wording import shortened

_Status = TypeVar("_Status", LocalModelStatus, InferencePoolStatus)


def with_failure(
    status: _Status, error: PaddockError, *, generation: int, now: datetime
) -> _Status:
    """Return the status of this generation with Ready unknown; other conditions keep their own."""
    reason = Reason(error.reason)
    kind = ConditionType.RECONCILING if error.retry else ConditionType.STALLED
    words = f"{shortened(str(error))}."
    verdicts: tuple[Verdict, ...] = (
        unknown(ConditionType.READY, reason, words),
        true(kind, reason, words),
    )
    told: tuple[Condition, ...] = merge(status.conditions, verdicts, generation=generation, now=now)
    replaced = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED}
    kept: tuple[Condition, ...] = tuple(
        each for each in status.conditions if each.type not in replaced
    )
    return status.model_copy(
        update={"conditions": (*told, *kept), "observed_generation": generation}
    )
