"""The route table: which path with which model goes where, and what is answered here. Pure.

Only listed paths pass the listener's first filter; the table orders what is left, so that a known
model with a route its engine lacks gets a sentence that names where to go.
"""

import re
from collections.abc import Iterator, Sequence

from paddock import names
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway import listing
from paddock.plan.gateway.affinity import hash_of_route, script_of_route, shares_of_route
from paddock.plan.gateway.catalog import Offer, Served
from paddock.plan.gateway.clusters import aggregate_name, pool_cluster_name
from paddock.plan.gateway.ways import ways_of
from paddock.plan.gateway.xds import METADATA, typed
from paddock.settings import VERSION
from paddock.wire import Json

ROUTE_TABLE = "models"
INFERENCE_PATHS = tuple(sorted({path for each in PROFILES.values() for path in each.paths}))
SHOW_PATH = "/api/show"
MODELS_PATH = "/v1/models"
READY_PATH = "/healthz"
_LISTS = (MODELS_PATH, "/api/tags", "/api/ps", "/api/version", "/")
_OK, _BAD_REQUEST, _FORBIDDEN, _NOT_FOUND = 200, 400, 403, 404
_TOTAL_SECONDS, _IDLE_SECONDS = "3600s", "600s"
_LONGEST_BODY = 4_000_000
_RETRY: Json = {
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 2,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": typed("extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
        }
    ],
    "host_selection_retry_max_attempts": 3,
}
"""Nothing is sent twice: only what never reached an engine is tried again."""

POST_PATHS = (*INFERENCE_PATHS, SHOW_PATH)
GET_PATTERN = "|".join(
    [*(re.escape(path) for path in (*_LISTS, READY_PATH)), f"{re.escape(MODELS_PATH)}/[^/]+"]
)


def route_table(served: Sequence[Served]) -> dict[str, Json]:
    """Return the whole table."""
    return typed(
        "config.route.v3.RouteConfiguration",
        name=ROUTE_TABLE,
        max_direct_response_body_size_bytes=_LONGEST_BODY,
        virtual_hosts=[{"name": "all", "domains": ["*"], "routes": list(_routes(served))}],
    )


def _routes(served: Sequence[Served]) -> Iterator[Json]:
    yield from _lists(served)
    for each in served:
        yield _answer({"path": f"{MODELS_PATH}/{each.name}"}, _OK, listing.openai_model(each))
        yield _answer(_named({"path": SHOW_PATH}, each), _OK, listing.ollama_details(each))
    yield _answer(
        {"prefix": f"{MODELS_PATH}/"}, _NOT_FOUND, "There is no such model; see /v1/models."
    )
    for each in served:
        yield from _model_routes(each)
    yield from _refusals()


def _lists(served: Sequence[Served]) -> Iterator[Json]:
    yield _answer({"path": MODELS_PATH}, _OK, listing.openai_list(served))
    yield _answer({"path": "/api/tags"}, _OK, listing.ollama_list(served))
    yield _answer({"path": "/api/ps"}, _OK, listing.ollama_running(served))
    yield _answer({"path": "/api/version"}, _OK, listing.ollama_version(VERSION))
    yield _answer({"path": "/"}, _OK, '{"service":"paddock-gateway"}')
    yield _answer({"path": READY_PATH}, _OK, "{}")


def _model_routes(served: Served) -> Iterator[Json]:
    """Yield one route for each set of pools that has the same paths, then what none has."""
    groups: dict[tuple[str, ...], tuple[list[str], tuple[Offer, ...]]] = {}
    for path, offers in served.paths.items():
        key = tuple(pool_cluster_name(offer.pool) for offer in offers)
        groups.setdefault(key, ([], offers))[0].append(path)
    for paths, offers in groups.values():
        yield _forward(_named(_any_of(paths), served), offers)
    yield _answer(_named({"prefix": "/"}, served), _NOT_FOUND, _elsewhere(served))


def _elsewhere(served: Served) -> str:
    """Say which pools serve the model and which routes they have."""
    told = [
        f"{offer.pool.metadata.name} ({offer.pool.spec.engine.name}: "
        f"{', '.join(sorted(offer.profile.paths))})"
        for offer in served.offers
    ]
    return f"The model {served.name} has no such route; it is served by {'; '.join(told)}."


def _forward(match: dict[str, Json], offers: Sequence[Offer]) -> Json:
    action: dict[str, Json] = {
        **_where(offers),
        **hash_of_route(offers),
        "timeout": _TOTAL_SECONDS,
        "idle_timeout": _IDLE_SECONDS,
        "retry_policy": _RETRY,
    }
    return {"match": match, "route": action, **script_of_route(offers)}


def _where(offers: Sequence[Offer]) -> dict[str, Json]:
    """Return the clusters of the first pools by their weights, each with the others to fall to."""
    ways = ways_of(offers)
    shares: list[Json] = [
        {
            "name": aggregate_name(way.clusters),
            "weight": way.weight,
            **({"request_headers_to_add": [_pool_header(way.woken)]} if way.woken else {}),
        }
        for way in ways
    ]
    return {"weighted_clusters": {"clusters": shares, **shares_of_route(offers)}}


def _pool_header(offer: Offer) -> Json:
    metadata = offer.pool.metadata
    value = f"{metadata.namespace}/{metadata.name}"
    return {
        "header": {"key": names.POOL_HEADER, "value": value},
        "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
    }


def _refusals() -> Iterator[Json]:
    yield _answer(
        {"prefix": "/", "dynamic_metadata": [_metadata("unreadable", {"exact": "yes"})]},
        _BAD_REQUEST,
        "The body must be one JSON object.",
    )
    yield _answer(
        {"prefix": "/", "dynamic_metadata": [_metadata("missing", {"exact": "yes"})]},
        _BAD_REQUEST,
        "The body must name a model; GET /v1/models lists them.",
    )
    for path in POST_PATHS:
        yield _answer(
            {"path": path}, _NOT_FOUND, "There is no such model here; GET /v1/models lists them."
        )
    yield _answer({"prefix": "/"}, _FORBIDDEN, "")


def _answer(match: Json, status: int, body: str) -> Json:
    """Answer without an engine; an error's body is one sentence, wrapped by the listener."""
    answer: dict[str, Json] = {
        "match": match,
        "direct_response": {"status": status, "body": {"inline_string": body}},
    }
    if status == _OK:
        answer["response_headers_to_add"] = [
            {
                "header": {"key": "content-type", "value": "application/json"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ]
    return answer


def _any_of(paths: Sequence[str]) -> dict[str, Json]:
    if len(paths) == 1:
        return {"path": paths[0]}
    return {"safe_regex": {"regex": "|".join(re.escape(path) for path in sorted(paths))}}


def _named(match: dict[str, Json], served: Served) -> dict[str, Json]:
    """Add to a match that the request names this model."""
    spellings: list[Json] = [
        {"string_match": {"exact": name, "ignore_case": served.any_case}} for name in served.names
    ]
    value = spellings[0] if len(spellings) == 1 else {"or_match": {"value_matchers": spellings}}
    metadata: Json = {"filter": METADATA, "path": [{"key": "model"}], "value": value}
    return {**match, "dynamic_metadata": [metadata]}


def _metadata(key: str, value: Json) -> Json:
    return {"filter": METADATA, "path": [{"key": key}], "value": {"string_match": value}}
