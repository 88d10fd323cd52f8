"""States of a pool that pass by themselves, which are told with what follows them. Pure.

A cluster that is busy makes each step of a pool's start visible by itself, and each would be a
write that says what the next one says better. A state that does not pass is told all the same.
"""

from paddock.api.inferencepool import InferencePoolStatus
from paddock.api.reasons import ConditionType, Reason


def told_status(
    before: InferencePoolStatus,
    after: InferencePoolStatus,
    *,
    since: float | None,
    now: float,
    patience: float,
) -> tuple[InferencePoolStatus, float | None]:
    """Return the status to tell, and since when another is left unsaid, if one is.

    `since` is what was returned for the pass before.
    """
    if not _passes_by_itself(before, after):
        return after, None
    began = now if since is None else since
    return (before, began) if now - began < patience else (after, None)


def _passes_by_itself(before: InferencePoolStatus, after: InferencePoolStatus) -> bool:
    """Tell whether what is new is a number of pods alone, or that engines are being asked.

    What was said must be of this spec, and no trouble is kept back, nor its end.
    """
    if before == after or before.observed_generation != after.observed_generation:
        return False
    if before.diagnosis or after.diagnosis or _stalls(before) or _stalls(after):
        return False
    return _is_asked(after) or before.model_copy(update={"replicas": after.replicas}) == after


def _is_asked(status: InferencePoolStatus) -> bool:
    """Tell whether the engines are up and their first answers are awaited."""
    said = {each.type: (each.status, each.reason) for each in status.conditions}
    return (
        said.get(ConditionType.ENGINES_READY) == ("True", Reason.READY)
        and said.get(ConditionType.MODEL_VERIFIED) == ("Unknown", Reason.NOT_CHECKED)
    )  # fmt: skip


def _stalls(status: InferencePoolStatus) -> bool:
    return any(each.type == ConditionType.STALLED for each in status.conditions)
