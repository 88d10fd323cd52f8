"""The only way to a condition: say what is true now, merge it with what was said before.

Pure. Keeps lastTransitionTime while the status holds, so the same situation gives the same bytes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from paddock.api.base import Condition
from paddock.api.reasons import ConditionType, Reason
from paddock.clock import rfc3339

State = Literal["True", "False", "Unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition as it is now, before it has a time."""

    type: ConditionType
    status: State
    reason: Reason
    message: str


def true(kind: ConditionType, reason: Reason, message: str) -> Verdict:
    """Say that the condition holds."""
    return Verdict(kind, "True", reason, message)


def false(kind: ConditionType, reason: Reason, message: str) -> Verdict:
    """Say that the condition does not hold."""
    return Verdict(kind, "False", reason, message)


def unknown(kind: ConditionType, reason: Reason, message: str) -> Verdict:
    """Say that it is not known; better than a stale answer."""
    return Verdict(kind, "Unknown", reason, message)


def merge(
    previous: Iterable[Condition], verdicts: Iterable[Verdict], *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return the conditions of the verdicts, in their order; a type not judged now is dropped."""
    before = {condition.type: condition for condition in previous}
    return tuple(
        _merged(before.get(verdict.type), verdict, generation, now) for verdict in verdicts
    )


def _merged(
    before: Condition | None, verdict: Verdict, generation: int, now: datetime
) -> Condition:
    kept = before is not None and before.status == verdict.status
    return Condition(
        type=verdict.type,
        status=verdict.status,
        reason=verdict.reason,
        message=verdict.message,
        last_transition_time=before.last_transition_time if kept and before else rfc3339(now),
        observed_generation=generation,
    )
