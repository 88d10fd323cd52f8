"""What a pool's limits become in the gateway's configuration."""

import json

import pytest

from paddock.api.inferencepool import (
    EngineName,
    InferencePool,
    InferencePoolStatus,
    PoolEffective,
    ScalingStatus,
)
from paddock.callers import Callers
from paddock.plan.gateway.catalog import served_by
from paddock.plan.gateway.limits import (
    buckets,
    counted,
    longest_body,
    most_in_flight,
    requests_per_minute,
    times,
)
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.gateway.routes import route_table
from paddock.plan.gateway.spending import purses, spending_of
from paddock.plan.gateway.usage import USAGE_FILTER
from paddock.plan.gateway.xds import text
from paddock.wire import Json
from support.gateways import ALPHA, BETA
from support.stores import pool_of, renamed

MODELS = {"alpha": ALPHA, "beta": BETA}


def limited(name: str, *models: str, **gateway: Json) -> InferencePool:
    return renamed(pool_of(EngineName.OLLAMA, *models, gateway=gateway), name)


def test_strictest_limit_of_its_pools_holds_for_a_model() -> None:
    strict: Json = {"requestTime": "30s", "bodyBytes": 2048, "requestsPerMinute": 7}
    loose: Json = {"requestTime": "2h", "idleTime": "1m", "bodyBytes": 4096}
    (served,) = served_by(
        [limited("a", "alpha", limits=strict), limited("b", "alpha", limits=loose)], MODELS
    )

    assert longest_body(served) == 2048
    assert times(served.offers) == {"timeout": "30s", "idle_timeout": "60s"}
    assert requests_per_minute(served) == 7


def test_without_limits_the_defaults_hold_and_nothing_is_counted() -> None:
    served = served_by([limited("a", "alpha")], MODELS)

    assert longest_body(served[0]) is None
    assert times(served[0].offers) == {"timeout": "3600s", "idle_timeout": "600s"}
    assert counted(served[0], 1) == {}
    assert buckets(served, 1) == {}


@pytest.mark.parametrize(
    ("gateway", "by"),
    [({}, "model-by-address"), ({"auth": {"apiKeys": "Accepted"}}, "model-by-caller")],
    ids=["open", "guarded"],
)
def test_requests_are_counted_by_model_and_caller(gateway: dict[str, Json], by: str) -> None:
    pool = limited("a", "alpha", limits={"requestsPerMinute": 7}, **gateway)
    (served,) = served_by([pool], MODELS)

    said = {by: "alpha", "retry-after": "9"}
    assert counted(served, 1) == said


def test_each_of_several_envoys_holds_its_share_of_a_minute() -> None:
    served = served_by([limited("a", "alpha", limits={"requestsPerMinute": 7})], MODELS)

    for replicas, most, again in ((1, 7, "9"), (2, 4, "15"), (9, 1, "60")):
        assert f'"max_tokens":{most},' in json.dumps(buckets(served, replicas)).replace(" ", "")
        assert counted(served[0], replicas)["retry-after"] == again


def test_strictest_limit_of_tokens_is_shared_by_envoys_and_capped_by_the_largest_context() -> None:
    pools = [
        limited(name, "alpha", limits={"tokensPerMinute": most})
        for name, most in (("a", 70), ("b", 90))
    ]
    (served,) = served_by(pools, MODELS)

    for replicas, most in ((1, 70), (2, 35), (99, 1)):
        assert spending_of(served, replicas) == {
            "model": "alpha",
            "tokens": most,
            "by_token": False,
            "longest": served.offers[0].context,
        }
        assert f'"max_tokens":{most},' in json.dumps(purses([served], replicas)).replace(" ", "")


def test_without_limit_of_tokens_no_answer_is_read_for_it() -> None:
    served = served_by([limited("a", "alpha", limits={"requestsPerMinute": 7})], MODELS)

    assert spending_of(served[0], 1) == {}
    assert purses(served, 1) == {}
    table = route_table(served, Callers())
    assert USAGE_FILTER not in json.dumps(table)
    assert USAGE_FILTER in json.dumps(route_table(served, Callers(), measured=True))


def test_limit_in_flight_is_the_clusters_and_a_new_limit_leaves_the_listener_alone() -> None:
    before, after = (
        render("team", [limited("a", "alpha", limits=limits)], MODELS, Surroundings())
        for limits in (
            {},
            {"inFlight": 3, "requestsPerMinute": 7, "tokensPerMinute": 9, "bodyBytes": 2048},
        )
    )

    assert '"max_requests":100000' in json.dumps(before.clusters, separators=(",", ":"))
    assert '"max_requests":3' in json.dumps(after.clusters, separators=(",", ":"))
    assert before.listeners == after.listeners
    assert before.routes != after.routes


@pytest.mark.parametrize(
    ("limits", "serving", "replicas", "envoys", "most"),
    [
        ({}, {}, 3, 1, None),
        ({"inFlight": 7}, {}, 3, 1, 7),
        ({"inFlight": 7}, {}, 3, 2, 4),
        ({"queue": 0}, {}, None, 1, 1),
        ({"queue": 5}, {}, 3, 1, 8),
        ({"queue": 5}, {"parallel": 4}, 3, 1, 17),
        ({"queue": 5}, {"parallel": 4}, 3, 2, 9),
        ({"queue": 5, "inFlight": 10}, {"parallel": 4}, 3, 1, 10),
        ({"queue": 5, "inFlight": 90}, {"parallel": 4}, 0, 1, 9),
    ],
)
def test_no_more_is_in_flight_than_replicas_serve_and_may_wait(
    limits: Json, serving: Json, replicas: int | None, envoys: int, most: int | None
) -> None:
    pool = pool_of(EngineName.OLLAMA, "alpha", gateway={"limits": limits}, serving=serving)
    if replicas is not None:
        effective = PoolEffective(image="engine", gpus=0, replicas=replicas)
        pool = pool.model_copy(update={"status": InferencePoolStatus(effective=effective)})

    assert most_in_flight(pool, envoys) == most
    (cluster, *_) = render(
        "team",
        [pool, limited("other", "beta", replicas=envoys)],
        MODELS,
        Surroundings(),
    ).clusters
    assert f'"max_requests":{most or 100_000},' in text(cluster)


def test_places_of_a_pool_that_demand_scales_are_those_it_is_to_have() -> None:
    pool = pool_of(EngineName.OLLAMA, "alpha", gateway={"limits": {"queue": 2}}, scaling={"max": 4})
    for desired, most in ((0, 3), (1, 3), (4, 6)):
        status = InferencePoolStatus(scaling=ScalingStatus(desired=desired, why="Because."))
        assert most_in_flight(pool.model_copy(update={"status": status}), 1) == most
