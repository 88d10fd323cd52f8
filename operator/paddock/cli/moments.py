"""What a waiting `run` or `pull` says at one moment, and whether the wait ends with it. Pure."""

from dataclasses import dataclass, replace
from enum import Enum

from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel, Progress
from paddock.api.reasons import ConditionType
from paddock.cli.sizes import digest_words, duration_words, size_words
from paddock.cli.tables import condition_of

STALL_SECONDS = 10.0
"""A stall must last this long to end the wait: the operator may see a pool before its model."""


class End(Enum):
    """How a wait ends."""

    READY = "ready"
    STALLED = "stalled"


@dataclass(frozen=True, slots=True)
class Moment:
    """One look at what is being made."""

    subject: str
    words: str
    progress: Progress | None = None
    end: End | None = None


def moment_of(model: LocalModel, pool: InferencePool | None) -> Moment:
    """Return what there is to say of a model and the pool over it."""
    if not _is(model, ConditionType.READY):
        return _model_moment(model)
    if pool is None:
        return replace(pulled(model), end=End.READY)
    name = f"pool/{pool.metadata.name}"
    ready = condition_of(pool)
    if ready is None:
        return Moment(name, "waiting for the operator")
    if ready.status == "True":
        return Moment(name, "ready, its model verified", end=End.READY)
    end = End.STALLED if _is(pool, ConditionType.STALLED) else None
    return Moment(name, ready.message, end=end)


def pulled(model: LocalModel) -> Moment:
    """Say what was pulled."""
    artifact, name = model.status.artifact, f"model/{model.metadata.name}"
    if artifact is None:
        return Moment(name, "pulled and verified")
    parts = (size_words(artifact.bytes), artifact.quantization, digest_words(artifact.digest))
    return Moment(name, f"pulled and verified: {', '.join(part for part in parts if part)}")


def progress_words(progress: Progress) -> str:
    """Say how far a pull is, on one line."""
    total, done = size_words(progress.total_bytes), size_words(progress.bytes)
    parts = [
        f"{progress.percent} %" if progress.percent is not None else None,
        f"{done} of {total}" if total else done,
        f"{size_words(progress.bytes_per_second)}/s" if progress.bytes_per_second else None,
        f"{duration_words(progress.eta_seconds)} left" if progress.eta_seconds else None,
    ]
    return f"pulling {', '.join(part for part in parts if part)}"


def _model_moment(model: LocalModel) -> Moment:
    name, ready = f"model/{model.metadata.name}", condition_of(model)
    if _is(model, ConditionType.STALLED):
        return Moment(name, ready.message if ready else "stalled", end=End.STALLED)
    progress = model.status.progress
    if progress is not None:
        return Moment(name, progress_words(progress), progress)
    return Moment(name, ready.message if ready else "waiting for the operator")


def _is(owner: LocalModel | InferencePool, kind: ConditionType) -> bool:
    condition = condition_of(owner, kind)
    return condition is not None and condition.status == "True"


class StallWatch:
    """Tells a stall that lasts from one that passes, by the seconds it is shown."""

    def __init__(self, seconds: float = STALL_SECONDS) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def has_ended(self, moment: Moment, now: float) -> bool:
        """Return whether the wait is over at this moment, `now` being seconds that only grow."""
        if moment.end is not End.STALLED:
            self._since = None
            return moment.end is End.READY
        if self._since is None:
            self._since = now
        return now - self._since >= self._seconds
