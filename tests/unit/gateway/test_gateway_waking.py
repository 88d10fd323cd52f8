"""Who keeps the activator for a while: pools that gave zero up, until Envoys have found them."""

from dataclasses import replace

import pytest

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.facts import Children, EnvoyReport, GatewayFacts
from paddock.plan.gateway.plan import plan_gateway, pools_still_woken, render_gateway
from paddock.wire import Json
from support.gateways import OLLAMA, SETTINGS, envoy_pod, gateway_facts, settled_gateway
from support.stores import pool_of, renamed

ZERO: dict[str, Json] = {"scaling": {"min": 0}}
FOUND = frozenset({"pool/cpp"})
KEPT, GONE = frozenset({"cpp"}), frozenset[str]()


def pool(ready: int = 0, **spec: Json) -> InferencePool:
    found = renamed(pool_of(EngineName.LLAMA_CPP, "alpha", **spec), "cpp")
    status = found.status.model_copy(update={"replicas": ready, "ready_replicas": ready})
    return found.model_copy(update={"status": status})


def after(before: InferencePool, now: InferencePool, *reached: frozenset[str]) -> GatewayFacts:
    """Return the facts of a gateway that served one, and is to serve the other beside a third.

    There is an Envoy for each set of clusters in which one has found somebody.
    """
    facts = settled_gateway(gateway_facts(before, OLLAMA))
    (report,) = facts.reports.values()
    pods = [replace(envoy_pod(), uid=f"uid-{number}") for number in range(len(reached))]
    reports = {
        pod.uid: replace(report, reached=each) for pod, each in zip(pods, reached, strict=True)
    }
    return replace(facts, pools=(now, OLLAMA), pods=tuple(pods), reports=reports)


ENDED = {
    "it asks for replicas": (pool(1, replicas=2), (FOUND,), GONE),
    "it is never at zero": (pool(1, scaling={"min": 1}), (FOUND,), GONE),
    "the least is not said": (pool(1, scaling={"max": 3}), (FOUND,), GONE),
    "nothing is ready yet": (pool(0, replicas=1), (frozenset(),), KEPT),
    "what went was found": (pool(0, replicas=1), (FOUND,), KEPT),
    "DNS has not told yet": (pool(1, scaling={"max": 3}), (frozenset(),), KEPT),
    "one of two has found it": (pool(1, replicas=1), (FOUND, frozenset()), KEPT),
    "nobody is asked": (pool(1, replicas=1), (), KEPT),
    "its owner wants none": (pool(0, replicas=0), (frozenset(),), GONE),
    "it never gave zero up": (pool(1, **ZERO), (frozenset(),), GONE),
}


@pytest.mark.parametrize("story", ENDED)
def test_pool_that_gave_zero_up_keeps_the_activator_until_every_envoy_has_found_it(
    story: str,
) -> None:
    now, reached, kept = ENDED[story]
    assert pools_still_woken(after(pool(**ZERO), now, *reached)) == kept


def test_pool_that_never_was_at_zero_has_no_activator_to_keep() -> None:
    before = pool(1, replicas=1)
    assert pools_still_woken(after(before, pool(0, replicas=2), frozenset())) == GONE
    assert pools_still_woken(gateway_facts(pool(replicas=1))) == GONE
    assert pools_still_woken(replace(gateway_facts(before), children=Children())) == GONE


def test_giving_zero_up_changes_nothing_until_the_pods_are_found() -> None:
    waiting = after(pool(**ZERO), pool(1, replicas=1), frozenset())
    rendering = render_gateway(waiting, SETTINGS)
    changes = plan_gateway(waiting, rendering, SETTINGS).changes
    found = replace(waiting, reports={"uid-0": EnvoyReport(frozenset({rendering.version}), FOUND)})
    later = render_gateway(found, SETTINGS)

    assert changes == ()
    assert names.ACTIVATOR in str(rendering.clusters)
    assert names.ACTIVATOR not in str(later.clusters)
    assert plan_gateway(found, later, SETTINGS).changes


def test_other_changes_are_made_while_a_pool_is_waited_for() -> None:
    waiting = after(pool(**ZERO), pool(1, replicas=1), frozenset())
    alone = render_gateway(replace(waiting, pools=waiting.pools[:1]), SETTINGS)

    assert "pool/oll" not in str(alone.clusters)
    assert names.ACTIVATOR in str(alone.clusters)
