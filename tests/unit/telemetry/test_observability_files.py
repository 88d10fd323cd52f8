"""Dashboards and alerts speak of metrics that exist, and say what to do."""

import re
from pathlib import Path

import yaml

from paddock import names
from paddock.plan.telemetry.engine_metrics import SCRAPED, UP
from paddock.plan.telemetry.request_metrics import REQUEST_METRICS
from paddock.telemetry import catalog
from paddock.telemetry.catalog import Metric, MetricKind
from paddock.telemetry.exposition import prometheus_name
from support.observability import (
    DASHBOARDS,
    FOLDER,
    alerts,
    metrics_of,
    panels,
    recorded,
    rule_groups,
    variables,
)

TELEMETRY = Path(__file__).resolve().parents[3] / "operator/docs/telemetry.md"


def known() -> set[str]:
    collected = (*SCRAPED, UP, *REQUEST_METRICS)
    engines = [Metric(each.name, MetricKind(each.kind), each.unit, "") for each in collected]
    found = set()
    for metric in (*catalog.OPERATOR, *engines):
        name = prometheus_name(metric)
        parts = ("_bucket", "_sum", "_count")
        histogram = metric.kind is MetricKind.HISTOGRAM
        found |= {f"{name}{part}" for part in parts} if histogram else {name}
    return found | set(recorded())


def test_every_metric_of_every_query_exists() -> None:
    queries = [*(query for _, query in panels()), *variables()]
    queries += [*(rule["expr"] for rule in alerts().values()), *recorded().values()]
    assert len(queries) > 30
    assert {name for query in queries for name in metrics_of(query)} <= known()
    assert all(metrics_of(query) for query in queries)


def test_dashboards_are_these_and_name_no_data_source() -> None:
    assert [file.stem for file in DASHBOARDS] == ["fleet", "model", "operator", "requests"]
    for file in DASHBOARDS:
        text = file.read_text()
        assert text.count('"uid": "${datasource}"') == text.count('"type": "prometheus",')


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for name, rule in alerts().items():
        assert name.startswith("Paddock")
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert set(rule["annotations"]) == {"summary", "description"}
        assert all(words.endswith(".") for words in rule["annotations"].values())
    assert len(alerts()) + len(recorded()) == sum(len(group["rules"]) for group in rule_groups())


def test_every_alert_is_in_the_docs_table() -> None:
    told = re.findall(r"^\| `(Paddock\w+)` \| (\w+) \|", TELEMETRY.read_text(), re.MULTILINE)
    assert told == [(name, rule["labels"]["severity"]) for name, rule in alerts().items()]


def test_monitor_picks_the_operators_pods_and_keeps_our_labels() -> None:
    monitor = yaml.safe_load((FOLDER / "podmonitor.yaml").read_text())
    assert monitor["spec"]["selector"]["matchLabels"] == {
        names.NAME_LABEL: "paddock",
        names.COMPONENT_LABEL: "operator",
    }
    assert monitor["spec"]["podMetricsEndpoints"] == [
        {"port": "health", "path": "/metrics", "honorLabels": True}
    ]
