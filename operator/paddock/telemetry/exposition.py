"""What the process has collected, as Prometheus reads it. Pure.

Names follow OpenTelemetry's own translation: dots become underscores, the unit is spelled out, a
counter ends in `_total`. So a metric has one Prometheus name, whichever way it came.
"""

from collections.abc import Iterable, Iterator

from paddock.telemetry.catalog import Metric, MetricKind
from paddock.telemetry.registry import Collected, Labels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_UNITS = {"s": "seconds", "By": "bytes", "1": "ratio"}


def prometheus_name(metric: Metric) -> str:
    """Return the name of a metric in Prometheus."""
    parts = [metric.name.replace(".", "_")]
    unit = _UNITS.get(metric.unit)
    if unit is not None and not (unit == "ratio" and metric.kind is MetricKind.COUNTER):
        parts.append(unit)
    if metric.kind is MetricKind.COUNTER:
        parts.append("total")
    return "_".join(parts)


def exposition(collected: Iterable[Collected]) -> str:
    """Return the text of a scrape."""
    return "".join(f"{line}\n" for each in collected for line in _lines(each))


def _lines(collected: Collected) -> Iterator[str]:
    metric = collected.metric
    name = prometheus_name(metric)
    if not collected.numbers and not collected.distributions:
        return
    yield f"# HELP {name} {metric.meaning}"
    yield f"# TYPE {name} {metric.kind}"
    for labels, number in collected.numbers.items():
        yield f"{name}{_braced(metric, labels)} {_number(number)}"
    for labels, distribution in collected.distributions.items():
        below = 0
        bounds = [*map(_number, metric.bounds), "+Inf"]
        for bound, count in zip(bounds, distribution.counts, strict=True):
            below += count
            yield f"{name}_bucket{_braced(metric, labels, le=bound)} {below}"
        yield f"{name}_sum{_braced(metric, labels)} {_number(distribution.total)}"
        yield f"{name}_count{_braced(metric, labels)} {below}"


def _braced(metric: Metric, labels: Labels, **more: str) -> str:
    pairs = {**dict(zip(metric.labels, labels, strict=True)), **more}
    inside = ",".join(f'{key}="{_escaped(value)}"' for key, value in pairs.items())
    return f"{{{inside}}}" if inside else ""


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)
