"""The numbers of this process, read when somebody asks: Prometheus here, OTLP in `telemetry.otlp`.

Belongs to the event loop. Holds no more series than the catalog allows, whatever happens.
"""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from paddock.telemetry.catalog import DROPPED, OTHER, Metric, MetricKind

Labels = tuple[str, ...]
"""Values in the order of the metric's labels."""
Read = Callable[[], Mapping[Labels, float]]


@dataclass(frozen=True, slots=True)
class Distribution:
    """One series of a histogram; `counts` has one place more than the bounds."""

    counts: tuple[int, ...]
    total: float

    def plus(self, place: int, value: float) -> "Distribution":
        """Return the distribution with one more value."""
        counts = (*self.counts[:place], self.counts[place] + 1, *self.counts[place + 1 :])
        return Distribution(counts, self.total + value)


@dataclass(frozen=True, slots=True)
class Collected:
    """One metric with all its series, at one moment."""

    metric: Metric
    numbers: Mapping[Labels, float]
    distributions: Mapping[Labels, Distribution]


class Listener(Protocol):
    """Is told of each value of a histogram, which cannot be read later."""

    def __call__(self, metric: Metric, labels: Labels, value: float) -> None:
        """Take one value."""
        ...


class Registry:
    """Where the parts of the process say how their numbers are read, and record durations."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self.metrics = tuple(metrics)
        self._dropped: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.listener: Listener | None = None
        self._reads: dict[str, Read] = {}
        self._distributions: dict[str, dict[Labels, Distribution]] = {}
        self.read(DROPPED, self._losses)

    def drop(self, signal: str, count: int) -> None:
        """Count what was given up; any thread may."""
        with self._lock:
            self._dropped[signal] += count

    def _losses(self) -> dict[Labels, float]:
        with self._lock:
            return {(signal,): count for signal, count in self._dropped.items()}

    def read(self, metric: Metric, read: Read) -> None:
        """Say how the series of a counter or gauge are read."""
        self._reads[metric.name] = read

    def record(self, metric: Metric, value: float, *labels: str) -> None:
        """Add one value to a histogram."""
        known = self._distributions.setdefault(metric.name, {})
        bounded = _bounded(metric, labels)
        before = known.get(bounded)
        if before is None:
            if len(known) >= metric.limit:
                self.drop("series", 1)
                return
            before = Distribution((0,) * (len(metric.bounds) + 1), 0.0)
        known[bounded] = before.plus(bisect_left(metric.bounds, value), value)
        if self.listener is not None:
            self.listener(metric, bounded, value)

    def collect(self) -> tuple[Collected, ...]:
        """Return every metric as it is now."""
        return tuple(self.collect_one(metric) for metric in self.metrics)

    def collect_one(self, metric: Metric) -> Collected:
        """Return one metric as it is now."""
        read = self._reads.get(metric.name)
        numbers = self._limited(metric, read()) if read is not None else {}
        distributions = self._distributions.get(metric.name, {})
        return Collected(metric, numbers, dict(distributions))

    def _limited(self, metric: Metric, raw: Mapping[Labels, float]) -> Mapping[Labels, float]:
        found: dict[Labels, float] = {}
        for labels, number in raw.items():
            bounded = _bounded(metric, labels)
            if bounded in found and metric.kind is MetricKind.COUNTER:
                found[bounded] += number
            elif bounded in found or len(found) < metric.limit:
                found[bounded] = number
            else:
                self.drop("series", 1)
        return found


def _bounded(metric: Metric, labels: Labels) -> Labels:
    """Replace what a closed label does not hold by one word."""
    return tuple(
        value if not allowed or value in allowed else OTHER
        for value, allowed in zip(labels, metric.labels.values(), strict=True)
    )
