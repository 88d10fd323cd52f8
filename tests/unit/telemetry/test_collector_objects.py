"""A pool's own Collector: its objects whole, what changes them, and that they go when unasked."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock.api.inferencepool import EngineName, Otlp
from paddock.facts import Apply, Children, Delete, PoolFacts, Wait
from paddock.plan.changes import plan_changes
from paddock.plan.pool import plan_pool
from paddock.plan.telemetry.collector import exporter_of, port_of
from paddock.plan.telemetry.collector_config import CONFIG, SCRAPED_ENGINES, TARGETS
from paddock.plan.telemetry.engine_metrics import SCRAPED
from paddock.raw import at, items, text
from paddock.wire import Json, Manifest
from support.golden import check_golden
from support.pools import SETTINGS, fresh, identity, live, ready_pod, settled

GOLDEN = Path(__file__).with_name("golden") / "llama-cpp-collector.yaml"
TELEMETRY: Any = {
    "collector": "Managed",
    "otlp": {"endpoint": "http://receiver.observability:4318"},
}
OF_ENGINES = ("NetworkPolicy", "chat")
POOL = replace(fresh(telemetry=TELEMETRY), pods=(ready_pod(),))


def collectors(facts: PoolFacts) -> dict[str, Manifest]:
    return {
        str(each["kind"]): each
        for each in plan_pool(facts, SETTINGS).wanted
        if text(each, "metadata", "name") == "chat-collector"
    }


def in_place(facts: PoolFacts) -> PoolFacts:
    """Return the facts once every child is there, the targets too."""
    whole = settled(facts)
    wanted = plan_pool(whole, SETTINGS).wanted
    return replace(whole, children=Children({identity(each): live(each) for each in wanted}))


def test_objects_are_as_committed() -> None:
    check_golden(GOLDEN, [dict(each) for each in collectors(POOL).values()])


def test_configuration_is_yaml_with_every_metric_we_have_a_name_for() -> None:
    config = str(at(collectors(POOL)["ConfigMap"], "data", CONFIG))
    assert set(yaml.safe_load(config)) == {"receivers", "processors", "exporters", "service"}
    for metric in SCRAPED:
        assert set(metric.sources) <= SCRAPED_ENGINES
        assert all(own in config for own in (metric.name, *metric.sources.values()))


def test_settled_pool_writes_nothing_and_is_looked_at_again() -> None:
    plan = plan_pool(in_place(POOL), SETTINGS)
    assert plan.changes == ()
    assert plan.outcome == Wait(SETTINGS.delays.delivery_poll)


def test_pod_that_comes_changes_the_targets_and_restarts_nothing() -> None:
    before = in_place(POOL)
    after = replace(before, pods=(ready_pod(0), ready_pod(1)))
    (change,) = plan_pool(after, SETTINGS).changes
    assert isinstance(change, Apply)
    assert change.manifest["kind"] == "ConfigMap"
    targets = json.loads(str(at(change.manifest, "data", TARGETS)))
    assert [each["labels"]["pod"] for each in targets] == ["chat-0", "chat-1"]


def test_other_receiver_restarts_the_collector_and_no_engine() -> None:
    before = in_place(POOL)
    other: Any = {**TELEMETRY, "otlp": {"endpoint": "https://elsewhere.example.com"}}
    moved = replace(fresh(telemetry=other), children=before.children, pods=before.pods)
    changed = [change for change in plan_pool(moved, SETTINGS).changes if isinstance(change, Apply)]
    assert [identity(change.manifest) for change in changed] == [
        ("ConfigMap", "chat-collector"),
        ("Deployment", "chat-collector"),
        ("NetworkPolicy", "chat-collector"),
    ]


def test_pool_that_asks_no_longer_loses_its_collector_and_nothing_else() -> None:
    before = in_place(POOL)
    plain = replace(fresh(), children=before.children, pods=before.pods)
    changes = plan_pool(plain, SETTINGS).changes
    assert {
        (change.kind.kind, change.name) for change in changes if isinstance(change, Delete)
    } == {
        ("ConfigMap", "chat-collector"),
        ("Deployment", "chat-collector"),
        ("NetworkPolicy", "chat-collector"),
    }
    (closed,) = [change.manifest for change in changes if isinstance(change, Apply)]
    assert identity(closed) == OF_ENGINES, "the engines' door to it is shut"
    assert len(changes) == 4


def test_strangers_deployment_is_not_pruned() -> None:
    stranger: Any = {
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "theirs", "namespace": "team", "uid": "u", "resourceVersion": "1"},
    }  # fmt: skip
    before = in_place(POOL)
    children = Children({**before.children.manifests, ("Deployment", "theirs"): stranger})
    wanted = plan_pool(before, SETTINGS).wanted
    assert plan_changes(wanted, children, prune=["Deployment"]).changes == ()


def test_engines_let_their_collector_in_while_there_is_one() -> None:
    peer = {"podSelector": at(collectors(POOL)["Deployment"], "spec", "selector")}
    assert peer in ways_in(POOL)
    assert peer not in ways_in(fresh())


def ways_in(facts: PoolFacts) -> list[Json]:
    policies = (each for each in plan_pool(facts, SETTINGS).wanted if identity(each) == OF_ENGINES)
    (rule,) = items(next(policies), "spec", "ingress")
    return [dict(each) for each in items(rule, "from")]


def test_ollama_has_no_metrics_of_its_own_to_collect() -> None:
    facts = fresh(EngineName.OLLAMA, telemetry=TELEMETRY)
    assert plan_pool(facts, SETTINGS).refused == ()
    assert collectors(facts) == {}


@pytest.mark.parametrize(
    ("endpoint", "protocol", "address", "port"),
    [
        ("http://otel:4318/", None, {"otlphttp": "http://otel:4318"}, 4318),
        ("https://otel.example.com/team", "http/protobuf",
         {"otlphttp": "https://otel.example.com/team"}, 443),
        ("http://otel:4317", "grpc", {"otlp": "otel:4317"}, 4317),
        ("https://otel", "grpc", {"otlp": "otel:443"}, 443),
    ],
)  # fmt: skip
def test_exporter_speaks_the_protocol_to_the_receivers_port(
    endpoint: str, protocol: Any, address: dict[str, str], port: int
) -> None:
    otlp = Otlp(endpoint=endpoint, protocol=protocol)
    exporter: Any = exporter_of(otlp)
    assert {kind: body["endpoint"] for kind, body in exporter.items()} == address
    assert port_of(otlp) == port
    assert all(body["sending_queue"]["queue_size"] <= 64 for body in exporter.values())
