"""From what engines have to do to the number of replicas: up at once, down after a window.

Pure: bounds, what was observed and what is remembered in; a decision and the new memory out. What
is not known counts as work: it may add replicas, and never takes one away.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from paddock.api.base import seconds_of
from paddock.api.inferencepool import Idle, InferencePool, Scaling, Serving
from paddock.facts import DemandHistory, PodDemand, PodFact

_GATEWAY = "gateway"
DEFAULT_ZERO_AFTER = "10m"
ASLEEP = "Nobody asks: the next request starts it."
STARTING = "Its replicas are starting."
UNKNOWN = "Not every engine tells what it has to do, so no replica is taken away."
IDLE = "Nobody asks."
RAISED = "More requests are in flight than these replicas should have."
LOWERED = "Fewer replicas have been enough for a while."
ENOUGH = "These replicas are enough."


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the user allows, with the defaults in force."""

    least: int
    most: int
    target: int
    zero_after: float | None
    window: float


@dataclass(frozen=True, slots=True)
class Observed:
    """What a pass saw: the replicas asked for, the pods that count, what their engines said."""

    asked: int | None
    pods: Sequence[PodFact]
    demand: Mapping[str, PodDemand]
    moment: float
    now: datetime
    passing: PodDemand | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """The replicas to have, and why."""

    replicas: int
    why: str
    idle_seconds: float | None = None
    """How long nobody has asked."""
    history: DemandHistory | None = None


def effective_scaling(pool: InferencePool, in_flight: int) -> Scaling | None:
    """Return the scaling with every default; `in_flight` is what the engine serves at once."""
    scaling = pool.spec.scaling
    if scaling is None:
        return None
    least = 1 if scaling.least is None else scaling.least
    declared = scaling.idle or Idle()
    zero_after = (declared.zero_after or DEFAULT_ZERO_AFTER) if least == 0 else None
    idle = declared.model_copy(update={"zero_after": zero_after})
    serving = pool.spec.serving or Serving()
    return Scaling(
        least=least,
        most=scaling.most or max(least, 1),
        target_in_flight=scaling.target_in_flight or serving.parallel or in_flight,
        idle=idle if idle != Idle() else None,
    )


def bounds_of(effective: Scaling, window: float) -> Bounds:
    """Return the numbers of a scaling that has all its defaults."""
    zero_after = effective.idle.zero_after if effective.idle else None
    return Bounds(
        least=effective.least or 0,
        most=effective.most or 1,
        target=effective.target_in_flight or 1,
        zero_after=float(seconds_of(zero_after)) if zero_after else None,
        window=window,
    )


def decide(bounds: Bounds, seen: Observed, history: DemandHistory | None) -> Decision:
    """Decide how many replicas a pool shall have now."""
    if seen.asked is None:
        return Decision(bounds.least, ASLEEP if bounds.least == 0 else ENOUGH)
    if seen.asked == 0:
        return Decision(bounds.least, ASLEEP if bounds.least == 0 else RAISED)
    in_flight, known = _in_flight(seen)
    memory = _remembered(bounds, seen, history, in_flight, known=known)
    idle = seen.moment - memory.busy_at
    if bounds.zero_after is not None and idle >= bounds.zero_after:
        return Decision(0, ASLEEP, idle, memory)
    replicas = _counted(bounds, seen, memory, known=known)
    return Decision(replicas, _why(bounds, seen, memory, replicas), idle, memory)


def _in_flight(seen: Observed) -> tuple[int, bool]:
    """Return the requests in flight as far as they are told, and whether all of them are."""
    ready = [pod for pod in seen.pods if pod.ready]
    said = [seen.demand[pod.uid].in_flight for pod in ready if pod.uid in seen.demand]
    counts = [count for count in said if count is not None]
    told = len(said) if seen.passing is not None else len(counts)
    known = told == len(ready) == len(seen.pods) and len(ready) >= (seen.asked or 0)
    passing = seen.passing.in_flight if seen.passing else None
    return max(sum(counts), passing or 0), known


def _remembered(
    bounds: Bounds, seen: Observed, history: DemandHistory | None, in_flight: int, *, known: bool
) -> DemandHistory:
    before = history or DemandHistory(seen.moment, seen.moment, seen.now, seen.moment)
    marks = {uid: demand.mark for uid, demand in seen.demand.items()}
    if seen.passing is not None:
        marks[_GATEWAY] = seen.passing.mark
    moved = any(mark and mark != before.marks.get(uid) for uid, mark in marks.items())
    worked = not known or in_flight > 0 or moved
    wish = min(max(math.ceil(in_flight / bounds.target), bounds.least, 1), bounds.most)
    recent = tuple(each for each in before.wishes if each[0] > seen.moment - bounds.window)
    return replace(
        before,
        busy_at=seen.moment if worked else before.busy_at,
        busy_time=seen.now if worked else before.busy_time,
        known_at=seen.moment if known else before.known_at,
        marks=marks,
        wishes=(*recent, (seen.moment, wish)),
    )


def _counted(bounds: Bounds, seen: Observed, memory: DemandHistory, *, known: bool) -> int:
    """Return the replicas that demand needs: more at once, fewer only after a whole window."""
    asked = seen.asked or 0
    wish = memory.wishes[-1][1]
    if wish > asked:
        return wish
    watched = seen.moment - memory.since >= bounds.window
    enough = max(count for _, count in memory.wishes)
    return enough if known and watched and enough < asked else asked


def _why(bounds: Bounds, seen: Observed, memory: DemandHistory, replicas: int) -> str:
    """Word the decision; what changes from look to look is not told, or each would be a write."""
    asked = seen.asked or 0
    if replicas != asked:
        return RAISED if replicas > asked else LOWERED
    if len([pod for pod in seen.pods if pod.ready]) < asked:
        return STARTING
    if seen.moment - memory.known_at >= bounds.window:
        return UNKNOWN
    return IDLE if is_told_idle(bounds.zero_after, seen.moment - memory.busy_at) else ENOUGH


def is_told_idle(zero_after: float | None, idle: float | None) -> bool:
    """Tell whether a pool has been idle for so long that its status says when it goes."""
    return zero_after is not None and idle is not None and idle * 2 >= zero_after
