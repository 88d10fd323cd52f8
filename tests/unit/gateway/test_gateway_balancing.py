"""Balancing by conversation: where it shows in Envoy's files, and where nothing of it does."""

import json

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.raw import at
from paddock.wire import Json
from support.gateways import ALPHA
from support.stores import pool_of, renamed


def pool(name: str, **own: Json) -> InferencePool:
    return renamed(pool_of(EngineName.LLAMA_CPP, "alpha", gateway=own), name)


def rendered(*pools: InferencePool) -> Rendering:
    return render("team", pools, {"alpha": ALPHA}, Surroundings())


PLAIN = rendered(pool("cpp"))
AFFINE = rendered(pool("cpp", balancing="PrefixAffinity"))


def test_pods_are_on_a_ring_that_no_pod_is_filled_by() -> None:
    (plain,), (affine,) = PLAIN.clusters, AFFINE.clusters
    factor = {"consistent_hashing_lb_config": {"hash_balance_factor": 125}}

    assert plain["lb_policy"] == "LEAST_REQUEST"
    assert affine == {**plain, "lb_policy": "RING_HASH", "common_lb_config": factor}


def test_change_of_balancing_leaves_the_listener_and_its_connections() -> None:
    assert AFFINE.listeners == PLAIN.listeners
    assert rendered(pool("cpp", balancing="LeastRequest")).version == PLAIN.version


def test_only_routes_to_such_pools_look_for_conversations() -> None:
    assert names.CONVERSATION_HEADER not in json.dumps(PLAIN.routes)
    (forward,) = [each for each in routes_of(AFFINE) if at(each, "route")]

    assert at(forward, "route", "hash_policy") == [
        {"header": {"header_name": names.CONVERSATION_HEADER}}
    ]
    assert at(forward, "typed_per_filter_config", "conversation", "name") == "conversation"


def test_pools_share_a_model_by_conversation_once_one_of_them_asks_for_it() -> None:
    for second, by_conversation in (
        (pool("b"), None),
        (pool("b", balancing="PrefixAffinity"), True),
    ):
        (forward,) = [each for each in routes_of(rendered(pool("a"), second)) if at(each, "route")]
        assert at(forward, "route", "weighted_clusters", "use_hash_policy") is by_conversation


def routes_of(rendering: Rendering) -> list[Json]:
    hosts = rendering.routes["virtual_hosts"]
    assert isinstance(hosts, list)
    routes = at(hosts[0], "routes")
    assert isinstance(routes, list)
    return routes
