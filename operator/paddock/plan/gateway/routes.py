"""The route table: which path with which model goes where, and what is answered here. Pure.

Only listed paths pass the listener's first filter; the table orders what is left, so that a known
model with a route its engine lacks gets a sentence that names where to go.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from paddock import names
from paddock.callers import Callers
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway import listing
from paddock.plan.gateway.affinity import hash_of_route, script_of_route, shares_of_route
from paddock.plan.gateway.catalog import Offer, Served
from paddock.plan.gateway.clusters import aggregate_name, pool_cluster_name
from paddock.plan.gateway.content import content_of_route
from paddock.plan.gateway.forms import AUDIO_PREFIX
from paddock.plan.gateway.guards import (
    for_every_model,
    is_guarded,
    one_of_accounts,
    one_of_keys,
    ways_to,
    with_account,
    with_key,
    with_token_of,
)
from paddock.plan.gateway.identity import CALLER_FILTER
from paddock.plan.gateway.issuers import named_by
from paddock.plan.gateway.limits import BODY_BYTES, buckets, counted, longest_body, times
from paddock.plan.gateway.reading import CONNECTION, MISSING, MODEL, UNREADABLE
from paddock.plan.gateway.signals import about
from paddock.plan.gateway.spending import charged, purses, spending_of
from paddock.plan.gateway.usage import usage_of_route
from paddock.plan.gateway.visible import list_for
from paddock.plan.gateway.ways import ways_of
from paddock.plan.gateway.xds import METADATA, from_metadata, typed
from paddock.settings import VERSION
from paddock.wire import Json

ROUTE_TABLE = "models"
INFERENCE_PATHS = tuple(sorted({path for each in PROFILES.values() for path in each.paths}))
SHOW_PATH = "/api/show"
MODELS_PATH = "/v1/models"
READY_PATH = "/healthz"
_LISTS_OF_MODELS: Mapping[str, Callable[[Sequence[Served]], str]] = {
    MODELS_PATH: listing.openai_list,
    "/api/tags": listing.ollama_list,
    "/api/ps": listing.ollama_running,
}
_FIXED = {
    "/api/version": listing.ollama_version(VERSION), "/": '{"service":"paddock-gateway"}',
}  # fmt: skip
_LISTS = (*_LISTS_OF_MODELS, *_FIXED)
_OK, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 400, 401, 403, 404
_TOO_LARGE, _INTERNAL = 413, 500
_UNREAD: Sequence[Json] = [
    {**from_metadata(METADATA, key), "value": {"present_match": True}, "invert": True}
    for key in (MODEL, MISSING, UNREADABLE)
]
"""Until the script has read the body, for which there may be no room, no other route counts."""
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

_PARTED: Mapping[str, Json] = {
    "request_headers_to_add": [
        {
            "header": {
                "key": "connection",
                "value": f"%DYNAMIC_METADATA({METADATA}:{CONNECTION})%",
            },
            "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
        }
    ]
}
"""A request for a stream asks to have its connection closed after it, and is told that it will."""

POST_PATHS = (*INFERENCE_PATHS, SHOW_PATH)
GET_PATTERN = "|".join(
    [*(re.escape(path) for path in (*_LISTS, READY_PATH)), f"{re.escape(MODELS_PATH)}/[^/]+"]
)


@dataclass(frozen=True, slots=True)
class Front:
    """Who calls, how many Envoys share the limits, and whether every answer is read."""

    callers: Callers
    replicas: int
    measured: bool


def route_table(
    served: Sequence[Served], callers: Callers, replicas: int = 1, *, measured: bool = False
) -> dict[str, Json]:
    """Return the whole table, of one of so many Envoys."""
    front = Front(callers, replicas, measured)
    filled = {**buckets(served, replicas), **purses(served, replicas)}
    return typed(
        "config.route.v3.RouteConfiguration",
        name=ROUTE_TABLE,
        max_direct_response_body_size_bytes=_LONGEST_BODY,
        virtual_hosts=[
            {
                "name": "all",
                "domains": ["*"],
                "routes": list(_routes(served, front)),
                **({"typed_per_filter_config": filled} if filled else {}),
            }
        ],
    )


def _routes(served: Sequence[Served], front: Front) -> Iterator[Json]:
    callers = front.callers
    yield _answer({"path": READY_PATH}, _OK, "{}")
    yield _answer(_when({"prefix": "/"}, _UNREAD), _INTERNAL, "")
    unreadable = _metadata(UNREADABLE, {"exact": "yes"})
    one_form = "The body must be a form (multipart/form-data) that names its model once."
    yield _answer(_when({"prefix": AUDIO_PREFIX}, [unreadable]), _BAD_REQUEST, one_form)
    one_object = "The body must be one JSON object that names its model once."
    yield _answer(_when({"prefix": "/"}, [unreadable]), _BAD_REQUEST, one_object)
    yield from _lists(served, callers)
    for each in served:
        for guards in ways_to(each, callers):
            model = _when({"path": f"{MODELS_PATH}/{each.name}"}, guards)
            yield _answer(model, _OK, listing.openai_model(each))
            shown = _when(_named({"path": SHOW_PATH}, each), guards)
            yield _answer(shown, _OK, listing.ollama_details(each))
            yield from _model_routes(each, guards, front)
    yield from _refusals(for_every_model(callers.keys) if is_guarded(served) else [])
    if is_guarded(served):
        known_by_issuer = map(with_token_of, named_by(served))
        for known in (with_key(callers.keys), with_account(), *known_by_issuer):
            yield _answer(_when({"prefix": "/"}, known), _FORBIDDEN, "")
        yield _answer({"prefix": "/"}, _UNAUTHORIZED, "")
    yield _answer({"prefix": "/"}, _FORBIDDEN, "")


def _lists(served: Sequence[Served], callers: Callers) -> Iterator[Json]:
    """Yield the lists as each caller may see them; the last one is of what is open to all."""
    if is_guarded(served):
        by_key = [each for each in served if not each.is_guarded or each.takes_keys]
        yield from _listed(by_key, for_every_model(callers.keys))
        yield from _scoped_lists(by_key, callers)
        for account in sorted({name for each in served for name in each.accounts}):
            seen = [each for each in served if not each.is_guarded or account in each.accounts]
            yield from _listed(seen, [one_of_accounts(served[0].namespace, [account])])
        yield from _lists_of_tokens(served)
    seen = [each for each in served if not each.is_guarded]
    if seen or not is_guarded(served):
        yield from _listed(seen, [])


def _scoped_lists(served: Sequence[Served], callers: Callers) -> Iterator[Json]:
    """Yield the lists for keys that are for some models only: these, and those open to all."""
    for scope in callers.keys.scopes if callers.keys is not None else ():
        seen = [each for each in served if not each.is_guarded or each.name in scope.models]
        yield from _listed(seen, [*with_key(callers.keys), one_of_keys(scope.ids)])


def _lists_of_tokens(served: Sequence[Served]) -> Iterator[Json]:
    """Yield the lists for tokens that say themselves what they are for."""
    for trust in named_by(served):
        known = with_token_of(trust)
        for path, listed in _LISTS_OF_MODELS.items():
            script: Json = {CALLER_FILTER: list_for(trust, served, listed)}
            unless = _answer(_when({"path": path}, known), _FORBIDDEN, "")
            yield {**unless, "typed_per_filter_config": script}
        for path, body in _FIXED.items():
            yield _answer(_when({"path": path}, known), _OK, body)


def _listed(served: Sequence[Served], guards: Sequence[Json]) -> Iterator[Json]:
    lists = {path: listed(served) for path, listed in _LISTS_OF_MODELS.items()}
    for path, body in {**lists, **_FIXED}.items():
        yield _answer(_when({"path": path}, guards), _OK, body)


def _model_routes(served: Served, guards: Sequence[Json], front: Front) -> Iterator[Json]:
    """Yield one route for each set of pools that has the same paths, then what none has."""
    groups: dict[tuple[str, ...], tuple[list[str], tuple[Offer, ...]]] = {}
    for path, offers in served.paths.items():
        key = tuple(pool_cluster_name(offer.pool) for offer in offers)
        groups.setdefault(key, ([], offers))[0].append(path)
    if (most := longest_body(served)) is not None:
        yield _answer(_larger(_when(_named({"prefix": "/"}, served), guards), most), _TOO_LARGE, "")
    for paths, offers in groups.values():
        match = _when(_named(_any_of(paths), served), guards)
        scripts = {
            **script_of_route(offers), **_usage(served, front), **content_of_route(served),
        }  # fmt: skip
        yield {
            **_forward(match, offers),
            "metadata": _told(served, offers[0], front.replicas),
            **({"typed_per_filter_config": scripts} if scripts else {}),
        }
    otherwise = _when(_named({"prefix": "/"}, served), guards)
    yield _answer(otherwise, _NOT_FOUND, _elsewhere(served))


def _elsewhere(served: Served) -> str:
    """Say which pools serve the model and which routes they have."""
    told = [
        f"{offer.pool.metadata.name} ({offer.pool.spec.engine.name}: "
        f"{', '.join(sorted(offer.profile.paths))})"
        for offer in served.offers
    ]
    return f"The model {served.name} has no such route; it is served by {'; '.join(told)}."


def _usage(served: Served, front: Front) -> dict[str, Json]:
    spending = spending_of(served, front.replicas)
    return usage_of_route(spending) if spending or front.measured else {}


def _told(served: Served, first: Offer, replicas: int) -> Json:
    pool = first.pool
    engine = pool.spec.engine.name.value
    return about(
        served.name, pool.metadata.name, engine, {**counted(served, replicas), **charged(served)}
    )


def _larger(match: dict[str, Json], most: int) -> dict[str, Json]:
    """Add to a match that the body is larger; a body without a length has got one by then."""
    sizes: Json = {"start": most + 1, "end": BODY_BYTES + 1}
    return {**match, "headers": [{"name": "content-length", "range_match": sizes}]}


def _forward(match: dict[str, Json], offers: Sequence[Offer]) -> dict[str, Json]:
    action: dict[str, Json] = {
        **_where(offers),
        **hash_of_route(offers),
        **times(offers),
        "retry_policy": _RETRY,
    }
    parted = {} if all(offer.profile.keeps_connections for offer in offers) else _PARTED
    return {"match": match, "route": action, **parted}


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


def _refusals(guards: Sequence[Json]) -> Iterator[Json]:
    """Yield what is said to callers who may know which models there are."""
    unknown = "There is no such model here; GET /v1/models lists them."
    yield _answer(_when({"prefix": f"{MODELS_PATH}/"}, guards), _NOT_FOUND, unknown)
    missing = _metadata(MISSING, {"exact": "yes"})
    no_model = "The body must name a model; GET /v1/models lists them."
    yield _answer(_when({"prefix": "/"}, [missing, *guards]), _BAD_REQUEST, no_model)
    for path in POST_PATHS:
        yield _answer(_when({"path": path}, guards), _NOT_FOUND, unknown)


def _answer(match: Json, status: int, body: str) -> dict[str, Json]:
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


def _when(match: Mapping[str, Json], conditions: Sequence[Json]) -> dict[str, Json]:
    """Add to a match what must hold of the request's metadata."""
    before = match.get("dynamic_metadata")
    known = list(before) if isinstance(before, list) else []
    return {**match, "dynamic_metadata": [*known, *conditions]} if conditions else {**match}


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
    metadata: Json = {"filter": METADATA, "path": [{"key": MODEL}], "value": value}
    return {**match, "dynamic_metadata": [metadata]}


def _metadata(key: str, value: Json) -> Json:
    return {"filter": METADATA, "path": [{"key": key}], "value": {"string_match": value}}
