"""The page of names and units says what the code says, no more and no less."""

import re
from pathlib import Path

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


def test_table_is_the_catalog() -> None:
    assert rows_of(PAGE.read_text()) == {row_of(metric) for metric in catalog.OPERATOR}
