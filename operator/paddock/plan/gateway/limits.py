"""What requests may ask of a model: size, time and number, kept by Envoy's own filters. Pure.

Where several pools serve a model, the strictest of their limits holds for it. Buckets are in the
route table, so that a new limit ends no connection; each Envoy has its own.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

from paddock.api.base import seconds_of
from paddock.api.inferencepool import InferencePool, Serving
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway.buckets import MINUTE, bucket, filled, limit, of_request, of_route, share
from paddock.plan.gateway.catalog import Offer, Served, limits_of
from paddock.plan.gateway.guards import ID, JWT_FILTER, KEY, path_of
from paddock.plan.gateway.identity import CALLER
from paddock.plan.gateway.xds import METADATA
from paddock.wire import Json

BODY_BYTES = 16 * 1024 * 1024
RATE_FILTER = "requests-per-minute"
TOTAL_SECONDS, _IDLE_SECONDS = 3600, 600
_OF_CALLER, _OF_ADDRESS = "model-by-caller", "model-by-address"
_ADDRESS = "remote_address"
"""The name that Envoy itself gives to the caller's address."""
_AGAIN = "retry-after"


def longest_body(served: Served) -> int | None:
    """Return the bytes that a body for the model may have, where fewer than everywhere."""
    return least(offer.limits.body_bytes for offer in served.offers)


def times(offers: Sequence[Offer]) -> dict[str, Json]:
    """Return how long a request to these pools may take, and how long it may be silent."""
    total = least(_seconds(offer.limits.request_time) for offer in offers) or TOTAL_SECONDS
    idle = least(_seconds(offer.limits.idle_time) for offer in offers) or _IDLE_SECONDS
    return {"timeout": f"{total}s", "idle_timeout": f"{idle}s"}


def most_in_flight(pool: InferencePool, envoys: int) -> int | None:
    """Return what one of several Envoys may have in flight to the pool; None where it may all."""
    limits = limits_of(pool)
    waiting = None if limits.queue is None else _places(pool) + limits.queue
    most = least((limits.in_flight, waiting))
    return None if most is None else share(most, envoys)


def _places(pool: InferencePool) -> int:
    """Return how many requests the replicas that are wanted serve at once."""
    status, serving = pool.status, pool.spec.serving or Serving()
    fixed = status.effective.replicas if status.effective is not None else None
    replicas = status.scaling.desired if status.scaling is not None else fixed
    return (replicas or 1) * (serving.parallel or PROFILES[pool.spec.engine.name].in_flight)


def requests_per_minute(served: Served) -> int | None:
    """Return how many requests each caller may make for the model."""
    return least(offer.limits.requests_per_minute for offer in served.offers)


def counted(served: Served, replicas: int) -> Mapping[str, Json]:
    """Return what a route's metadata says for its requests to be counted; nothing where not."""
    most = requests_per_minute(served)
    if most is None:
        return {}
    again = math.ceil(MINUTE / share(most, replicas))
    return {_counted_by(served): served.name, _AGAIN: str(again)}


def count_requests() -> Json:
    """Return the filter, which counts nothing but what the route table says."""
    return limit(RATE_FILTER)


def buckets(served: Sequence[Served], replicas: int) -> dict[str, Json]:
    """Return the route table's buckets: one for each model and caller; none without limits."""
    descriptors = [
        bucket(
            [{"key": _counted_by(each), "value": each.name}, {"key": kind}], share(most, replicas)
        )
        for each in served
        if (most := requests_per_minute(each)) is not None
        for kind in ((KEY, CALLER) if each.is_guarded else (_ADDRESS,))
    ]
    taken: list[Json] = [
        {"actions": [of_route(_OF_CALLER), of_request(KEY, JWT_FILTER, path_of(KEY, ID))]},
        {"actions": [of_route(_OF_CALLER), of_request(CALLER, METADATA, [{"key": CALLER}])]},
        {"actions": [of_route(_OF_ADDRESS), {"remote_address": {}}]},
    ]
    again = {_AGAIN: f"%METADATA(ROUTE:{METADATA}:{_AGAIN})%"}
    return filled(RATE_FILTER, descriptors, taken, again)


def _counted_by(served: Served) -> str:
    return _OF_CALLER if served.is_guarded else _OF_ADDRESS


def _seconds(duration: str | None) -> int | None:
    return seconds_of(duration) if duration is not None else None


def least(values: Iterable[int | None]) -> int | None:
    """Return the strictest of limits; None where there is none."""
    return min((value for value in values if value is not None), default=None)
