"""What a bench's samples amount to: percentiles, rates, and the table of them. Pure."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from paddock.cli.paint import Line, Word, table_lines
from paddock.wire import Json

_MILLI = 1000


@dataclass(frozen=True, slots=True)
class Sample:
    """One request: seconds to its first token and to its end, and the tokens of its answer."""

    first: float
    whole: float
    tokens: int


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle and the tail of some numbers."""

    p50: float
    p90: float
    p99: float


@dataclass(frozen=True, slots=True)
class Report:
    """What a bench found; times are in milliseconds, rates in tokens per second."""

    requests: int
    failed: int
    concurrency: int
    seconds: float
    tokens: int
    tokens_per_second: float
    first_token_ms: Spread
    request_ms: Spread
    request_tokens_per_second: Spread
    """Of one request, from its first token on."""


def report_of(
    samples: Sequence[Sample], *, failed: int, concurrency: int, seconds: float
) -> Report:
    """Sum the samples up."""
    tokens = sum(sample.tokens for sample in samples)
    return Report(
        requests=len(samples) + failed,
        failed=failed,
        concurrency=concurrency,
        seconds=round(seconds, 3),
        tokens=tokens,
        tokens_per_second=round(tokens / seconds, 1) if seconds else 0.0,
        first_token_ms=spread_of([sample.first * _MILLI for sample in samples]),
        request_ms=spread_of([sample.whole * _MILLI for sample in samples]),
        request_tokens_per_second=spread_of(
            [rate for sample in samples if (rate := _rate(sample)) is not None], high_is_good=True
        ),
    )


def _rate(sample: Sample) -> float | None:
    """Return the tokens per second after the first, or None where there is no second one."""
    left = sample.whole - sample.first
    return (sample.tokens - 1) / left if sample.tokens > 1 and left > 0 else None


def spread_of(values: Sequence[float], *, high_is_good: bool = False) -> Spread:
    """Return percentiles by the nearest rank; the tail of what is good when high is its low end."""
    ordered = sorted(values, reverse=high_is_good)
    p50, p90, p99 = (_at(ordered, percent) for percent in (50, 90, 99))
    return Spread(p50, p90, p99)


def _at(ordered: Sequence[float], percent: int) -> float:
    if not ordered:
        return 0.0
    return round(ordered[max(math.ceil(len(ordered) * percent / 100), 1) - 1], 1)


def report_lines(report: Report) -> list[Line]:
    """Lay a report out for people."""
    rows = [
        ("time to first token", report.first_token_ms, "ms"),
        ("whole request", report.request_ms, "ms"),
        ("one request", report.request_tokens_per_second, "tokens/s"),
    ]
    cells = [
        [name, *(f"{value:.1f}" for value in (spread.p50, spread.p90, spread.p99)), unit]
        for name, spread, unit in rows
    ]
    summary = (
        f"{report.requests} requests, {report.failed} failed, {report.concurrency} at once, "
        f"{report.seconds:.1f} s: {report.tokens_per_second:.1f} tokens/s in all"
    )
    return [*table_lines(["", "P50", "P90", "P99", "UNIT"], cells), (), (Word(summary),)]


def report_value(report: Report) -> Json:
    """Return a report as JSON holds it."""
    value: Json = asdict(report)
    return value
