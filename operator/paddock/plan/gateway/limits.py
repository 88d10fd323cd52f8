"""What requests may ask of a model: size, time and number, kept by Envoy's own filters. Pure.

Where several pools serve a model, the strictest of their limits holds for it. Buckets are in the
route table, so that a new limit ends no connection; each Envoy has its own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from paddock.api.base import seconds_of
from paddock.plan.gateway.catalog import Offer, Served
from paddock.plan.gateway.guards import ACCOUNT, ID, JWT_FILTER, KEY, SUBJECT, path_of
from paddock.plan.gateway.xds import METADATA, http_filter, typed
from paddock.wire import Json

BODY_BYTES = 16 * 1024 * 1024
RATE_FILTER = "requests-per-minute"
_RATE = "extensions.filters.http.local_ratelimit.v3.LocalRateLimit"
_TOTAL_SECONDS, _IDLE_SECONDS = 3600, 600
_MINUTE = 60
_MOST_CALLERS = 10_000
_NEVER_EMPTY: Json = {
    "max_tokens": 2**32 - 1, "tokens_per_fill": 2**32 - 1, "fill_interval": "1s",
}  # fmt: skip
_ALWAYS: Json = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
_OF_CALLER, _OF_ADDRESS = "model-by-caller", "model-by-address"
_ADDRESS = "remote_address"
"""The name that Envoy itself gives to the caller's address."""
_AGAIN = "retry-after"


def longest_body(served: Served) -> int | None:
    """Return the bytes that a body for the model may have, where fewer than everywhere."""
    return _least(offer.limits.body_bytes for offer in served.offers)


def times(offers: Sequence[Offer]) -> dict[str, Json]:
    """Return how long a request to these pools may take, and how long it may be silent."""
    total = _least(_seconds(offer.limits.request_time) for offer in offers) or _TOTAL_SECONDS
    idle = _least(_seconds(offer.limits.idle_time) for offer in offers) or _IDLE_SECONDS
    return {"timeout": f"{total}s", "idle_timeout": f"{idle}s"}


def requests_per_minute(served: Served) -> int | None:
    """Return how many requests each caller may make for the model."""
    return _least(offer.limits.requests_per_minute for offer in served.offers)


def counted(served: Served) -> Mapping[str, Json]:
    """Return what a route's metadata says for its requests to be counted; nothing where not."""
    most = requests_per_minute(served)
    if most is None:
        return {}
    return {_counted_by(served): served.name, _AGAIN: str(math.ceil(_MINUTE / most))}


def count_requests() -> Json:
    """Return the filter, which counts nothing but what the route table says."""
    return http_filter(RATE_FILTER, "local_ratelimit.v3.LocalRateLimit", stat_prefix=RATE_FILTER)


def buckets(served: Sequence[Served], replicas: int) -> dict[str, Json]:
    """Return the route table's buckets: one for each model and caller; none without limits.

    Each Envoy holds its share, because connections spread over them.
    """
    descriptors = [
        _bucket(each, kind, math.ceil(most / replicas))
        for each in served
        if (most := requests_per_minute(each)) is not None
        for kind in ((KEY, ACCOUNT) if each.is_guarded else (_ADDRESS,))
    ]
    if not descriptors:
        return {}
    config = typed(
        _RATE,
        stat_prefix=RATE_FILTER,
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        token_bucket=_NEVER_EMPTY,
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=_MOST_CALLERS,
        descriptors=descriptors,
        rate_limits=[
            {"actions": [_of_route(_OF_CALLER), _of_token(KEY, ID)]},
            {"actions": [_of_route(_OF_CALLER), _of_token(ACCOUNT, SUBJECT)]},
            {"actions": [_of_route(_OF_ADDRESS), {"remote_address": {}}]},
        ],
        response_headers_to_add=[
            {
                "header": {"key": _AGAIN, "value": f"%METADATA(ROUTE:{METADATA}:{_AGAIN})%"},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
        ],
    )
    return {"typed_per_filter_config": {RATE_FILTER: config}}


def _bucket(served: Served, kind: str, most: int) -> Json:
    return {
        "entries": [{"key": _counted_by(served), "value": served.name}, {"key": kind}],
        "token_bucket": {
            "max_tokens": most, "tokens_per_fill": most, "fill_interval": f"{_MINUTE}s",
        },
    }  # fmt: skip


def _counted_by(served: Served) -> str:
    return _OF_CALLER if served.is_guarded else _OF_ADDRESS


def _of_token(place: str, claim: str) -> Json:
    where: Json = {"key": JWT_FILTER, "path": path_of(place, claim)}
    return {"metadata": {"descriptor_key": place, "metadata_key": where, "source": "DYNAMIC"}}


def _of_route(key: str) -> Json:
    place: Json = {"key": METADATA, "path": [{"key": key}]}
    return {
        "metadata": {"descriptor_key": key, "metadata_key": place, "source": "ROUTE_ENTRY"},
    }


def _seconds(duration: str | None) -> int | None:
    return seconds_of(duration) if duration is not None else None


def _least(values: Iterable[int | None]) -> int | None:
    return min((value for value in values if value is not None), default=None)
