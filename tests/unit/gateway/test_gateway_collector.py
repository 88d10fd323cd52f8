"""The gateway's own Collector: its objects whole, when it is there, and whom it tells what."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.facts import Delete, GatewayFacts, Wait
from paddock.plan.gateway.plan import GatewayPlan, plan_gateway, render_gateway
from paddock.plan.gateway.signals import LABELS
from paddock.plan.gateway.usage import HEAD_BYTES, TAIL_BYTES, script
from paddock.plan.telemetry.gateway_config import build_gateway_config
from paddock.raw import at, items, text
from paddock.wire import Json, Manifest
from support.gateways import CPP, OLLAMA, SETTINGS, gateway_facts, settled_gateway, with_children
from support.golden import check_golden
from support.signals import measured

GOLDEN = Path(__file__).with_name("golden") / "gateway-collector.yaml"
FIRST = measured(CPP)


def planned(facts: GatewayFacts) -> GatewayPlan:
    return plan_gateway(facts, render_gateway(facts, SETTINGS), SETTINGS)


def collectors(*pools: InferencePool) -> list[Manifest]:
    wanted = planned(with_children(gateway_facts(*pools))).wanted
    return [each for each in wanted if text(each, "metadata", "name") == names.GATEWAY_COLLECTOR]


def config_of(*pools: InferencePool) -> Any:
    return yaml.safe_load(build_gateway_config(pools))


def test_objects_are_as_committed() -> None:
    check_golden(GOLDEN, [dict(each) for each in collectors(FIRST)])


def test_gateway_of_pools_that_ask_for_nothing_has_none_and_measures_nothing() -> None:
    rendering = render_gateway(gateway_facts(CPP, OLLAMA), SETTINGS)

    assert collectors(CPP, OLLAMA) == []
    assert "stats_sinks" not in rendering.bootstrap
    assert not {"access_log", "tracing"} & set(rendering.whole.split('"'))


def test_it_goes_with_the_last_pool_that_asks_and_nothing_else_does() -> None:
    before = settled_gateway(gateway_facts(FIRST))
    plan = planned(replace(gateway_facts(CPP), children=before.children, pods=before.pods,
                           reports=before.reports))  # fmt: skip

    gone = {(each.kind.kind, each.name) for each in plan.changes if isinstance(each, Delete)}
    assert gone == {
        (kind, names.GATEWAY_COLLECTOR) for kind in ("ConfigMap", "Deployment", "NetworkPolicy")
    }


def test_its_service_waits_for_the_deployment_that_owns_it_and_goes_with_it() -> None:
    facts = gateway_facts(FIRST)
    first, second = planned(facts), planned(with_children(facts))

    assert [services(plan) for plan in (first, second)] == [[], [[("Deployment", "uid-child")]]]
    assert first.outcome == Wait(SETTINGS.delays.gateway_poll)


def services(plan: GatewayPlan) -> list[list[tuple[Json, Json]]]:
    """Return the owners of each Service of the Collector."""
    return [
        [
            (at(owner, "kind"), at(owner, "uid"))
            for owner in items(each, "metadata", "ownerReferences")
        ]
        for each in plan.wanted
        if each["kind"] == "Service" and text(each, "metadata", "name") == names.GATEWAY_COLLECTOR
    ]


def test_settled_gateway_with_telemetry_writes_nothing() -> None:
    plan = planned(settled_gateway(gateway_facts(FIRST, OLLAMA)))

    assert plan.changes == ()
    assert not isinstance(plan.outcome, Wait)


def test_pools_of_one_receiver_share_a_pipeline_and_others_have_their_own() -> None:
    other = measured(OLLAMA, "http://elsewhere:4318")
    shared, apart = config_of(FIRST, measured(OLLAMA)), config_of(FIRST, other)

    assert [each["endpoint"] for each in shared["exporters"].values()] == ["http://receiver:4318"]
    assert len(shared["service"]["pipelines"]) == 3
    assert {each["endpoint"] for each in apart["exporters"].values()} == {
        "http://elsewhere:4318", "http://receiver:4318",
    }  # fmt: skip
    (about_oll,), (about_cpp,) = (apart["processors"][f"filter/{index}"]["logs"]["log_record"]
                                  for index in (0, 1))  # fmt: skip
    for about, pool, apart_from in ((about_oll, "oll", "cpp"), (about_cpp, "cpp", "oll")):
        assert about.endswith(f'attributes["paddock.pool"] != "{pool}"')
        assert f'"{apart_from}"' not in about


def test_only_ports_of_receivers_may_be_talked_to() -> None:
    (policy,) = [each for each in collectors(FIRST, measured(OLLAMA, "https://elsewhere"))
                 if each["kind"] == "NetworkPolicy"]  # fmt: skip

    _, receivers = at(policy, "spec", "egress") or ()
    assert receivers == {
        "ports": [{"port": 443, "protocol": "TCP"}, {"port": 4318, "protocol": "TCP"}]
    }


@pytest.mark.parametrize(
    ("asked", "percent"), [([None], 10), ([0], 0), ([None, 0], 10), ([25, None], 25), ([100], 100)]
)
def test_trace_begins_as_often_as_the_pool_says_that_says_most(
    asked: list[int | None], percent: int
) -> None:
    pools = [
        measured(pool, sampling=each) for pool, each in zip((CPP, OLLAMA), asked, strict=False)
    ]
    front = render_gateway(gateway_facts(*pools), SETTINGS).listeners

    assert f'"sampling_percentage": {{"numerator": {percent}}}' in json.dumps(front)


def test_no_label_is_a_callers_header_or_query() -> None:
    assert not {word for value in LABELS.values() for word in ("REQ(", "WQ", "AUTHORITY")
                if word in value}  # fmt: skip
    assert LABELS["http.route"] == "%PATH(NQ:PATH)%"


def test_what_is_kept_of_an_answer_is_bounded() -> None:
    assert "HEAD" not in script()
    assert str(HEAD_BYTES) in script()
    assert str(TAIL_BYTES) in script()
    assert HEAD_BYTES + 3 * TAIL_BYTES == 25 * 1024
