"""What asking for vLLM's spans changes: its flag, its way out, who may talk to the Collector."""

from typing import Any

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.plan.deployment import selector
from paddock.plan.engines.vllm import PROFILE
from paddock.plan.gateway.plan import plan_gateway, render_gateway
from paddock.plan.network_policy import build_network_policy
from paddock.plan.replica import pooled_models
from paddock.plan.telemetry.gateway_config import build_gateway_config
from paddock.raw import at, text
from support.gateways import ALPHA, SETTINGS, gateway_facts
from support.signals import measured
from support.stores import pool_of, renamed

PLAIN = measured(renamed(pool_of(EngineName.VLLM, "alpha"), "talk"))
TELLING = measured(PLAIN, spans=True)
FLAG = "--otlp-traces-endpoint"


def args_of(pool: InferencePool) -> tuple[str, ...]:
    return PROFILE.run(pool, pooled_models(pool, {"alpha": ALPHA})).args


def ways_out(pool: InferencePool) -> Any:
    return at(build_network_policy(pool, "paddock-system"), "spec", "egress")


def ways_in(pool: InferencePool) -> Any:
    facts = gateway_facts(pool)
    wanted = plan_gateway(facts, render_gateway(facts, SETTINGS), SETTINGS).wanted
    (policy,) = [
        each for each in wanted
        if each["kind"] == "NetworkPolicy"
        and text(each, "metadata", "name") == names.GATEWAY_COLLECTOR
    ]  # fmt: skip
    first: Any = at(policy, "spec", "ingress")
    return first[0]["from"]


def test_vllm_is_told_where_its_spans_go() -> None:
    args = args_of(TELLING)
    assert args[args.index(FLAG) + 1] == "http://paddock-gateway-collector:4317"
    assert FLAG not in args_of(PLAIN)


def test_way_out_is_to_names_and_to_that_collector_only() -> None:
    dns, collector = ways_out(TELLING)
    assert dns == {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
    assert collector["ports"] == [{"port": names.OTLP_PORT, "protocol": "TCP"}]
    (peer,) = collector["to"]
    assert peer["podSelector"]["matchLabels"][names.COMPONENT_LABEL] == "gateway-collector"
    assert ways_out(PLAIN) is None


def test_collector_lets_those_engines_in_and_no_others() -> None:
    assert {"podSelector": {"matchLabels": selector(TELLING)}} in ways_in(TELLING)
    assert len(ways_in(PLAIN)) == 1


def test_collector_of_pools_without_spans_is_as_it_was() -> None:
    assert 'resource.attributes["paddock.pool"]' in build_gateway_config([TELLING])
    assert 'resource.attributes["paddock.pool"]' not in build_gateway_config([PLAIN])
