"""What engines are doing, from their own counters and the cluster's metrics. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddock.api.inferencepool import EngineName
from paddock.cli.paint import Cell, Line, table_lines
from paddock.cli.sizes import size_words
from paddock.plan.quantity import bytes_of, quantity
from paddock.wire import Json

_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{[^}]*\})?\s+([-+0-9.eE]+|NaN)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Names:
    """What an engine calls its counters."""

    running: str
    waiting: str
    generated: str


NAMES = {
    EngineName.LLAMA_CPP: Names(
        "llamacpp:requests_processing",
        "llamacpp:requests_deferred",
        "llamacpp:tokens_predicted_total",
    ),
    EngineName.VLLM: Names(
        "vllm:num_requests_running", "vllm:num_requests_waiting", "vllm:generation_tokens_total"
    ),
}
"""Ollama has no counters."""


@dataclass(frozen=True, slots=True)
class Counters:
    """One look at an engine's counters."""

    running: int
    waiting: int
    generated: float


@dataclass(frozen=True, slots=True)
class Activity:
    """One replica: what it uses, and what it does; None where nobody can say."""

    pool: str
    pod: str
    node: str | None
    limit: str | None
    cpu: float | None = None
    """Cores."""
    memory: int | None = None
    counters: Counters | None = None
    tokens_per_second: float | None = None


def counters_of(exposition: str, engine: EngineName) -> Counters | None:
    """Read an engine's Prometheus text; None if the engine counts nothing in it."""
    called = NAMES.get(engine)
    if called is None:
        return None
    sums: dict[str, float] = {}
    for name, value in _SAMPLE.findall(exposition):
        if value != "NaN":
            sums[name] = sums.get(name, 0.0) + float(value)
    if called.generated not in sums:
        return None
    return Counters(
        running=int(sums.get(called.running, 0)),
        waiting=int(sums.get(called.waiting, 0)),
        generated=sums[called.generated],
    )


def rate_of(before: Counters | None, after: Counters | None, seconds: float) -> float | None:
    """Return tokens per second between two looks; a counter that fell was started anew."""
    if before is None or after is None or seconds <= 0 or after.generated < before.generated:
        return None
    return (after.generated - before.generated) / seconds


def usage_of(containers: Sequence[Mapping[str, Json]]) -> tuple[float, int]:
    """Return the cores and bytes that a pod's containers use, as the metrics API tells them."""
    cores, memory = 0.0, 0
    for container in containers:
        usage = container.get("usage")
        if isinstance(usage, Mapping):
            cores += float(cores_of(usage.get("cpu")))
            memory += bytes_of(str(usage.get("memory", "0")))
    return cores, memory


def cores_of(value: Json) -> float:
    """Read a CPU quantity; the metrics API writes it in nanocores."""
    text = str(value or "0")
    for unit, factor in (("n", 1e-9), ("u", 1e-6)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    return float(quantity(text) or 0)


def activity_table(activities: Sequence[Activity]) -> list[Line]:
    """Lay replicas out."""
    headers = ["POOL", "POD", "NODE", "CPU", "MEMORY", "LIMIT", "RUNNING", "WAITING", "TOKENS/S"]
    return table_lines(headers, [_row(each) for each in activities])


def _row(activity: Activity) -> list[Cell]:
    counters, rate = activity.counters, activity.tokens_per_second
    return [
        activity.pool,
        activity.pod,
        activity.node,
        None if activity.cpu is None else f"{activity.cpu:.2f}",
        size_words(activity.memory),
        size_words(bytes_of(activity.limit)) if activity.limit else None,
        counters.running if counters else None,
        counters.waiting if counters else None,
        None if rate is None else f"{rate:.1f}",
    ]
