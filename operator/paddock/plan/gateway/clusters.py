"""Where requests go: one cluster for each pool's pods, found by DNS. Pure.

Nothing here names a pod: with the operator gone, pods come and go all the same.
"""

from collections.abc import Mapping, Sequence

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.affinity import affinity_of_cluster
from paddock.plan.gateway.limits import most_in_flight
from paddock.plan.gateway.signals import served_from
from paddock.plan.gateway.xds import address, typed
from paddock.wire import Json

_DNS_SECONDS = "2s"
_CONNECT_SECONDS = "2s"
_KEEP_SECONDS = "3s"
"""Shorter than llama-server's and vLLM's 5 s, so that no request meets a closing connection."""
_MANY = 100_000
_TRANSPORT = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def pool_cluster_name(pool: InferencePool) -> str:
    """Name the cluster of a pool's pods."""
    return f"pool/{pool.metadata.name}"


def pool_cluster(pool: InferencePool, domain: str, envoys: int = 1) -> dict[str, Json]:
    """Return the cluster of a pool's ready pods, by its headless Service, in one of the Envoys."""
    service = f"{names.pool_child_name(pool.metadata.name)}.{pool.metadata.namespace}.svc.{domain}."
    most = most_in_flight(pool, envoys) or _MANY
    metadata = served_from(pool.metadata.name, pool.spec.engine.name.value)
    name = pool_cluster_name(pool)
    cluster = _dns_cluster(name, service, names.ENGINE_PORT, most=most, metadata=metadata)
    return {**cluster, **affinity_of_cluster(pool)}


def _dns_cluster(
    name: str,
    host: str,
    port: int,
    *,
    most: int = _MANY,
    metadata: Mapping[str, Json] | None = None,
) -> dict[str, Json]:
    endpoint: dict[str, Json] = {"endpoint": {"address": address(port, host)}}
    told: dict[str, Json] = {"metadata": metadata} if metadata is not None else {}
    return typed(
        "config.cluster.v3.Cluster",
        name=name,
        cluster_type={
            "name": "envoy.clusters.dns",
            "typed_config": typed(
                "extensions.clusters.dns.v3.DnsCluster",
                dns_refresh_rate=_DNS_SECONDS,
                dns_lookup_family="ALL",
            ),
        },
        connect_timeout=_CONNECT_SECONDS,
        lb_policy="LEAST_REQUEST",
        load_assignment={
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{**endpoint, **told}]}],
        },
        **told,
        circuit_breakers={"thresholds": [_limits(most)]},
        outlier_detection=_ejection(),
        typed_extension_protocol_options={_TRANSPORT: _http()},
    )


def activator_cluster(operator_namespace: str, domain: str) -> dict[str, Json]:
    """Return the cluster of the activator, which holds requests for pools at zero."""
    service = f"{names.ACTIVATOR}.{operator_namespace}.svc.{domain}."
    return _dns_cluster(names.ACTIVATOR, service, names.ACTIVATOR_SERVICE_PORT)


def aggregate_cluster(clusters: Sequence[str]) -> dict[str, Json]:
    """Return a cluster that is the first of these in which somebody is well."""
    return typed(
        "config.cluster.v3.Cluster",
        name=aggregate_name(clusters),
        connect_timeout=_CONNECT_SECONDS,
        lb_policy="CLUSTER_PROVIDED",
        cluster_type={
            "name": "envoy.clusters.aggregate",
            "typed_config": typed(
                "extensions.clusters.aggregate.v3.ClusterConfig", clusters=list(clusters)
            ),
        },
    )


def aggregate_name(clusters: Sequence[str]) -> str:
    """Name the cluster that tries these in order; one alone needs no other name."""
    return clusters[0] if len(clusters) == 1 else f"first/{'+'.join(clusters)}"


def _limits(most: int) -> Json:
    """Refuse what is more than the engines may have; waiting is theirs, they know their slots."""
    return {
        "max_connections": _MANY,
        "max_pending_requests": _MANY,
        "max_requests": most,
        "max_retries": _MANY,
    }


def _ejection() -> Json:
    """Leave out a pod that cannot be connected to; what an engine answers is its own affair."""
    return {
        "split_external_local_origin_errors": True,
        "consecutive_local_origin_failure": 3,
        "enforcing_consecutive_5xx": 0,
        "enforcing_consecutive_gateway_failure": 0,
        "enforcing_success_rate": 0,
        "enforcing_local_origin_success_rate": 0,
        "interval": "2s",
        "base_ejection_time": "5s",
        "max_ejection_percent": 100,
    }


def _http() -> Json:
    return typed(
        "extensions.upstreams.http.v3.HttpProtocolOptions",
        common_http_protocol_options={"idle_timeout": _KEEP_SECONDS},
        explicit_http_config={"http_protocol_options": {}},
    )
