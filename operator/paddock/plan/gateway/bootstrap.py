"""What an Envoy of the gateway starts from: where its files are, and what it tells of itself. Pure.

Its admin page listens on the loopback only; the status port shows the operator the versions in
force, the pools that have pods and what passes to them, and changes nothing. The drain port, which
is for the kubelet alone, tells when nobody is answered any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paddock import names
from paddock.plan.gateway.certificate import certificate_filter, inner_cluster, tls_listener
from paddock.plan.gateway.draining import drain_filters, pause_route
from paddock.plan.gateway.listener import LISTENER
from paddock.plan.gateway.signals import FLUSH_SECONDS, collector_cluster, sink
from paddock.plan.gateway.xds import address, from_file, http_filter, typed
from paddock.wire import Json

CLUSTERS_FILE, LISTENERS_FILE, ROUTES_FILE = "clusters.json", "listeners.json", "routes.json"
STATE_PATH, LOAD_PATH, READY_PATH = "/state", "/load", "/ready"
_ADMIN, _STATUS, _DRAIN = "admin", "status", "drain"
_LOOPBACK = "127.0.0.1"
_SHOWN = "(version_text|[.]warming_clusters|pool/.*[.]membership_healthy)$"
_STATE = f"/stats?format=json&filter={_SHOWN}"
_LOAD = f"/stats?format=json&filter=(pool/.*|{names.ACTIVATOR})[.]upstream_rq_(active|total)$"
_HEAP_BYTES, _CONNECTIONS = 400 * 1024 * 1024, 20_000
_CUT_OFF = ("http1_server_abort_dispatch", "http2_server_go_away_and_close_on_dispatch")


@dataclass(frozen=True, slots=True)
class Place:
    """Where an Envoy runs: its folder of files and its ports."""

    folder: str = names.GATEWAY_CONFIG_PATH
    port: int = names.GATEWAY_PORT
    status_port: int = names.GATEWAY_STATUS_PORT
    admin_port: int = names.GATEWAY_ADMIN_PORT
    tls_port: int = names.GATEWAY_TLS_PORT
    inner_port: int = names.GATEWAY_INNER_PORT
    drain_port: int = names.GATEWAY_DRAIN_PORT
    certificate: str = names.CERTIFICATE_PATH


def bootstrap(
    namespace: str, place: Place, collector: str | None = None, *, secured: bool = False
) -> dict[str, Json]:
    """Return the bootstrap: which files to read, and which host takes signals, where one does.

    Where it is `secured`, TLS is ended too.
    """
    sinks: dict[str, Json] = {
        "stats_sinks": [sink()], "stats_flush_interval": f"{FLUSH_SECONDS}s",
    } if collector else {}  # fmt: skip
    return {
        "node": {"id": names.GATEWAY, "cluster": namespace},
        "admin": {"address": address(place.admin_port, _LOOPBACK)},
        "dynamic_resources": {
            "cds_config": from_file(place.folder, CLUSTERS_FILE),
            "lds_config": from_file(place.folder, LISTENERS_FILE),
        },
        "static_resources": {
            "listeners": [
                _status_listener(place, secured=secured),
                _drain_listener(place),
                *([tls_listener(place.folder, place.tls_port)] if secured else ()),
            ],
            "clusters": [
                _loopback_cluster(_ADMIN, place.admin_port),
                _loopback_cluster(_DRAIN, place.drain_port),
                *([inner_cluster(place.inner_port)] if secured else ()),
                *([collector_cluster(collector)] if collector else ()),
            ],
        },
        "overload_manager": _overload(),
        "stats_config": {"stats_tags": []},
        **sinks,
    }


def _status_listener(place: Place, *, secured: bool) -> Json:
    shown = {STATE_PATH: _STATE, LOAD_PATH: _LOAD, READY_PATH: "/ready"}
    filters = [certificate_filter(_ADMIN, place.certificate)] if secured else []
    routes = [_shown(path, admin) for path, admin in shown.items()]
    return _listener(_STATUS, place.status_port, filters, routes)


def _drain_listener(place: Place) -> Json:
    return _listener(
        _DRAIN, place.drain_port, drain_filters(_ADMIN, _DRAIN, LISTENER), [pause_route()]
    )


def _listener(name: str, port: int, filters: Sequence[Json], routes: Sequence[Json]) -> Json:
    """Return a listener of a port that no caller of a model needs."""
    manager = typed(
        "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        stat_prefix=name,
        stream_idle_timeout="0s",
        http_filters=[*filters, http_filter("router", "router.v3.Router")],
        route_config={"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [*routes]}]},
    )
    filter_: Json = {
        "name": "envoy.filters.network.http_connection_manager",
        "typed_config": manager,
    }
    return {
        "name": name,
        "address": address(port),
        "filter_chains": [{"filters": [filter_]}],
    }


def _shown(path: str, admin: str) -> Json:
    """Show one page of the admin interface to a GET, and nothing else of it."""
    return {
        "match": {
            "path": path,
            "headers": [{"name": ":method", "string_match": {"exact": "GET"}}],
        },
        "route": {"cluster": _ADMIN, "prefix_rewrite": admin},
    }


def _loopback_cluster(name: str, port: int) -> Json:
    endpoint: Json = {"endpoint": {"address": address(port, _LOOPBACK)}}
    return {
        "name": name,
        "type": "STATIC",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [endpoint]}],
        },
    }


def _overload() -> Json:
    """Bound memory and connections: refuse requests before the kernel ends the process."""
    heap = typed(
        "extensions.resource_monitors.fixed_heap.v3.FixedHeapConfig",
        max_heap_size_bytes=_HEAP_BYTES,
    )
    connections = typed(
        "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=_CONNECTIONS,
    )
    heap_name = "envoy.resource_monitors.fixed_heap"
    filling: Json = {"scaling_threshold": 0.7, "saturation_threshold": 0.95}
    return {
        "refresh_interval": "0.1s",
        "resource_monitors": [
            {"name": heap_name, "typed_config": heap},
            {
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": connections,
            },
        ],
        "loadshed_points": [
            {
                "name": f"envoy.load_shed_points.{point}",
                "triggers": [{"name": heap_name, "scaled": filling}],
            }
            for point in _CUT_OFF
        ],
        "actions": [
            {
                "name": "envoy.overload_actions.stop_accepting_requests",
                "triggers": [{"name": heap_name, "threshold": {"value": 0.95}}],
            },
        ],
    }
