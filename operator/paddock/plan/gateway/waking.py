"""Which pools keep the activator although they are never to be at zero again. Pure.

A pool that gives zero up has no pod that Envoy knows while one starts, and until DNS tells of it.
What is written says who had the activator, what Envoys say ends it: nothing is remembered or timed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.facts import EnvoyReport
from paddock.plan.gateway.bootstrap import ROUTES_FILE
from paddock.plan.gateway.clusters import pool_cluster_name
from paddock.plan.gateway.staging import written_in
from paddock.raw import items, text
from paddock.wire import Json, Manifest


def still_woken(
    pools: Iterable[InferencePool], live: Manifest | None, reports: Sequence[EnvoyReport]
) -> frozenset[str]:
    """Return the pools that gave zero up, and whose pods not every Envoy has found.

    `live` is the ConfigMap as it is, `reports` are those of the Envoys that take requests.
    """
    if live is None or names.POOL_HEADER not in (text(live, "data", ROUTES_FILE) or ""):
        return frozenset()
    written = written_in(live)
    had = set(_woken_by(written.routes)) if written is not None else set()
    return frozenset(
        pool.metadata.name
        for pool in pools
        if pool.metadata.name in had and _is_never_at_zero(pool) and not _is_found(pool, reports)
    )


def _woken_by(table: Mapping[str, Json]) -> Iterator[str]:
    """Yield the pools that the routes have the activator wake."""
    hosts = items(table, "virtual_hosts")
    routes = (route for host in hosts for route in items(host, "routes"))
    shares = (
        share
        for route in routes
        for share in items(route, "route", "weighted_clusters", "clusters")
    )
    added = (header for share in shares for header in items(share, "request_headers_to_add"))
    for each in added:
        if text(each, "header", "key") == names.POOL_HEADER:
            yield (text(each, "header", "value") or "").rpartition("/")[2]


def _is_never_at_zero(pool: InferencePool) -> bool:
    scaling = pool.spec.scaling
    return pool.spec.replicas != 0 if scaling is None else scaling.least != 0


def _is_found(pool: InferencePool, reports: Sequence[EnvoyReport]) -> bool:
    """Tell whether the pool has ready pods and every Envoy knows one that is well."""
    name = pool_cluster_name(pool)
    there = bool(pool.status.ready_replicas and reports)
    return there and all(name in report.reached for report in reports)
