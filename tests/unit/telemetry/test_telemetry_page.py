"""The page of names and units says what the code says, no more and no less."""

import re
from pathlib import Path

from paddock.api.inferencepool import EngineName
from paddock.plan.gateway.content import CONTENT, CUT
from paddock.plan.telemetry.engine_metrics import SCRAPED, UP, EngineMetric
from paddock.plan.telemetry.request_metrics import (
    LOST,
    REQUEST_METRICS,
    UPTIME,
    RequestMetric,
)
from paddock.telemetry import catalog
from paddock.telemetry.exposition import prometheus_name

PAGE = Path(__file__).resolve().parents[3] / "operator" / "docs" / "telemetry.md"


def rows_of(page: str) -> set[tuple[str, ...]]:
    lines = re.findall(r"^\| `((?:paddock|gen_ai)\..*)\|$", page, re.MULTILINE)
    return {tuple(cell.strip().strip("`") for cell in line.split("|")) for line in lines}


def row_of(metric: catalog.Metric) -> tuple[str, ...]:
    return (
        metric.name,
        prometheus_name(metric),
        metric.kind,
        metric.unit,
        ", ".join(metric.labels) or "-",
        metric.meaning,
    )


def engine_row(metric: EngineMetric) -> tuple[str, ...]:
    name = prometheus_name(
        catalog.Metric(metric.name, catalog.MetricKind(metric.kind), metric.unit, metric.meaning)
    )
    own = (metric.sources.get(engine, "-") for engine in (EngineName.LLAMA_CPP, EngineName.VLLM))
    return (metric.name, name, metric.kind, metric.unit, *own, metric.meaning)


def request_row(metric: RequestMetric) -> tuple[str, ...]:
    name = prometheus_name(
        catalog.Metric(metric.name, catalog.MetricKind(metric.kind), metric.unit, metric.meaning)
    )
    return (metric.name, name, metric.kind, metric.unit, metric.label or "-", metric.meaning)


def test_tables_are_the_catalog() -> None:
    rows = {row_of(metric) for metric in catalog.OPERATOR}
    rows |= {engine_row(metric) for metric in (*SCRAPED, UP)}
    rows |= {request_row(metric) for metric in (*REQUEST_METRICS, LOST[0], UPTIME)}
    attributes, told = content_rows(PAGE.read_text())
    assert told == rows
    assert attributes == {*CONTENT, CUT}


def content_rows(page: str) -> tuple[set[str], set[tuple[str, ...]]]:
    """Return the attributes of prompts and answers, which have two columns, and the metrics."""
    every = rows_of(page)
    attributes = {row[0] for row in every if len(row) == len(("attribute", "what it is"))}
    return attributes, {row for row in every if row[0] not in attributes}
