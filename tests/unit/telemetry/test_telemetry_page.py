"""The page of names and units says what the code says, no more and no less."""

import re
from pathlib import Path

from paddock.api.inferencepool import EngineName
from paddock.plan.telemetry.engine_metrics import SCRAPED, UP, EngineMetric
from paddock.telemetry import catalog
from paddock.telemetry.exposition import prometheus_name

PAGE = Path(__file__).resolve().parents[3] / "operator" / "docs" / "telemetry.md"


def rows_of(page: str) -> set[tuple[str, ...]]:
    lines = re.findall(r"^\| `paddock\.(.*)\|$", page, re.MULTILINE)
    return {
        tuple(cell.strip().strip("`") for cell in f"paddock.{line}".split("|")) for line in lines
    }


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


def test_tables_are_the_catalog() -> None:
    rows = {row_of(metric) for metric in catalog.OPERATOR}
    assert rows_of(PAGE.read_text()) == rows | {engine_row(metric) for metric in (*SCRAPED, UP)}
