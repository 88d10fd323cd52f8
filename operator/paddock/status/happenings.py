"""What a change of status is worth telling as an event: at most one, for `kubectl describe`.

Pure. Only a condition that changes tells something, so a settled object tells nothing; trouble goes
before good news of the same moment. Words are the conditions' own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from paddock.api.base import Condition
from paddock.api.reasons import ConditionType
from paddock.status.wording import without_credentials

NORMAL: Literal["Normal"] = "Normal"
WARNING: Literal["Warning"] = "Warning"
LONGEST = 1024
"""What the API keeps of an event's note."""
_GOOD = (ConditionType.PULLED, ConditionType.READY)
"""Told when they become true, together; the first gives the reason."""
_BAD = (ConditionType.STALLED, ConditionType.UP_TO_DATE)
"""Told when they become bad, or bad for another reason; the first that did."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event to record about an object."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str


def happening(before: Sequence[Condition], after: Sequence[Condition]) -> Happening | None:
    """Return what to tell of a change from one set of conditions to another, if anything."""
    known = {condition.type: condition for condition in before}
    now = {condition.type: condition for condition in after}
    for kind in _BAD:
        worse = now.get(kind)
        if worse is not None and _is_bad(worse) and not _same(known.get(kind), worse):
            return Happening(WARNING, worse.reason, fitted(worse.message))
    better = [now[kind] for kind in _GOOD if kind in now and _became_true(kind, known, now)]
    if not better:
        return None
    words = " ".join(dict.fromkeys(condition.message for condition in better))
    return Happening(NORMAL, better[0].reason, fitted(words))


def _is_bad(condition: Condition) -> bool:
    """Stalled is bad while true; UpToDate when it is known to be false."""
    return condition.status == ("True" if condition.type == ConditionType.STALLED else "False")


def _same(before: Condition | None, after: Condition) -> bool:
    told = (before.status, before.reason) if before is not None else None
    return told == (after.status, after.reason)


def _became_true(
    kind: ConditionType, before: Mapping[str, Condition], after: Mapping[str, Condition]
) -> bool:
    known = before.get(kind)
    return after[kind].status == "True" and (known is None or known.status != "True")


def fitted(words: str) -> str:
    """Return the words as a note: without credentials, cut at a word where they are too long."""
    plain = without_credentials(" ".join(words.split()))
    if len(plain) <= LONGEST:
        return plain
    return f"{plain[: LONGEST - 4].rpartition(' ')[0] or plain[: LONGEST - 4]} ..."
