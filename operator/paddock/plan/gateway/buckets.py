"""Token buckets of Envoy's local rate limit, kept in the route table: a change ends no connection.

Pure. A filter in the listener counts nothing but what the route table's buckets say; each Envoy
holds its share of a minute, because connections spread over them.
"""

import math
from collections.abc import Sequence

from paddock.plan.gateway.xds import METADATA, http_filter, typed
from paddock.wire import Json

MINUTE = 60
MOST_CALLERS = 10_000
LEFT_HEADER = "x-ratelimit-remaining"
HEADERS = ("x-ratelimit-limit", LEFT_HEADER, "x-ratelimit-reset")
"""What a bucket says of itself, the one that is never empty too: callers are not to see it."""
_NEVER_EMPTY: Json = {
    "max_tokens": 2**32 - 1, "tokens_per_fill": 2**32 - 1, "fill_interval": "1s",
}  # fmt: skip
_ALWAYS: Json = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def limit(name: str) -> Json:
    """Return the listener's filter, for which the route table has buckets or has none."""
    return http_filter(name, "local_ratelimit.v3.LocalRateLimit", stat_prefix=name)


def share(most: int, replicas: int) -> int:
    """Return what one of several Envoys holds of a minute's number."""
    return math.ceil(most / replicas)


def bucket(entries: Sequence[Json], most: int) -> Json:
    """Return one bucket for each caller, full again a minute after it was empty."""
    return {
        "entries": list(entries),
        "token_bucket": {
            "max_tokens": most,
            "tokens_per_fill": most,
            "fill_interval": f"{MINUTE}s",
        },
    }


def filled(
    name: str,
    buckets: Sequence[Json],
    taken: Sequence[Json],
    told: dict[str, str],
    *,
    tells_rest: bool = False,
) -> dict[str, Json]:
    """Return the route table's part: the buckets, what is taken from which, headers of a 429.

    Where it tells the rest, every answer bears what its bucket holds, until the listener's first
    filter takes it away.
    """
    if not buckets:
        return {}
    config = typed(
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix=name,
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        token_bucket=_NEVER_EMPTY,
        always_consume_default_token_bucket=False,
        max_dynamic_descriptors=MOST_CALLERS,
        **({"enable_x_ratelimit_headers": "DRAFT_VERSION_03"} if tells_rest else {}),
        descriptors=list(buckets),
        rate_limits=list(taken),
        response_headers_to_add=[
            {
                "header": {"key": key, "value": value},
                "append_action": "OVERWRITE_IF_EXISTS_OR_ADD",
            }
            for key, value in told.items()
        ],
    )
    return {name: config}


def of_route(key: str) -> Json:
    """Return the part of a bucket's name that the route's metadata gives."""
    return _from_metadata(key, METADATA, [{"key": key}], "ROUTE_ENTRY")


def of_request(key: str, filter_name: str, path: Json) -> Json:
    """Return the part of a bucket's name that the request's metadata gives."""
    return _from_metadata(key, filter_name, path, "DYNAMIC")


def _from_metadata(name: str, filter_name: str, path: Json, source: str) -> Json:
    where: Json = {"key": filter_name, "path": path}
    return {"metadata": {"descriptor_key": name, "metadata_key": where, "source": source}}
