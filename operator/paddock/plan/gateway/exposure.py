"""The ways to a gateway from outside: one Ingress and one HTTPRoute, as its pools ask. Pure.

Both are ours and go with the last pool that asks; what takes them up is the cluster's.
"""

from collections.abc import Iterable, Sequence

from paddock import kinds, names
from paddock.api.base import seconds_of
from paddock.api.exposure import Expose, Way
from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.catalog import age_of, limits_of
from paddock.plan.gateway.limits import TOTAL_SECONDS
from paddock.wire import Json, Manifest

_BALANCER_SECONDS = 4000
"""The longest that AWS' load balancers allow."""


def exposure_of(pool: InferencePool) -> Expose | None:
    """Return how a pool wants to be reached from outside."""
    gateway = pool.spec.gateway
    return gateway.expose if gateway is not None else None


def hosts(pools: Iterable[InferencePool], way: Way) -> list[str]:
    """Return the hosts that pools are to be reached by in this way."""
    asked = (exposure_of(pool) for pool in pools)
    return sorted({each.host for each in asked if each is not None and each.by is way})


def class_pool(pools: Iterable[InferencePool]) -> InferencePool | None:
    """Return the pool whose class the one Ingress has: the oldest that asks for an Ingress."""
    asking = (pool for pool in pools if hosts([pool], Way.INGRESS))
    return min(asking, key=age_of, default=None)


def build_ingress(
    metadata: dict[str, Json], pools: Sequence[InferencePool], secret: str | None
) -> tuple[Manifest, ...]:
    """Build the Ingress, where a pool asks for one; it ends TLS with the gateway's own Secret."""
    named, first = hosts(pools, Way.INGRESS), class_pool(pools)
    asked = exposure_of(first) if first is not None else None
    if asked is None:
        return ()
    service: Json = {"name": names.GATEWAY, "port": {"name": "http"}}
    path: Json = {"path": "/", "pathType": "Prefix", "backend": {"service": service}}
    rules: list[Json] = [{"host": host, "http": {"paths": [path]}} for host in named]
    spec: dict[str, Json] = {"rules": rules}
    if asked.ingress_class_name is not None:
        spec["ingressClassName"] = asked.ingress_class_name
    if secret is not None:
        spec["tls"] = [{"hosts": list(named), "secretName": secret}]
    return (
        {
            "apiVersion": kinds.INGRESSES.api_version,
            "kind": kinds.INGRESSES.kind,
            "metadata": {**metadata, "annotations": _patient(_longest(pools))},
            "spec": spec,
        },
    )


def build_http_route(
    metadata: dict[str, Json], pools: Sequence[InferencePool], parent: str
) -> tuple[Manifest, ...]:
    """Build the HTTPRoute, where a pool asks for one; `parent` is a Gateway's NAMESPACE/NAME.

    What the server would fill in is written, so that it is not taken for drift.
    """
    named = hosts(pools, Way.HTTP_ROUTE)
    if not named:
        return ()
    namespace, _, name = parent.partition("/")
    time = f"{_longest(pools)}s"
    rule: Json = {
        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
        "backendRefs": [
            {
                "group": "",
                "kind": kinds.SERVICES.kind,
                "name": names.GATEWAY,
                "port": names.GATEWAY_SERVICE_PORT,
                "weight": 1,
            }
        ],
        "timeouts": {"request": time, "backendRequest": time},
    }
    return (
        {
            "apiVersion": kinds.HTTP_ROUTES.api_version,
            "kind": kinds.HTTP_ROUTES.kind,
            "metadata": metadata,
            "spec": {
                "parentRefs": [
                    {
                        "group": kinds.HTTP_ROUTES.group,
                        "kind": "Gateway",
                        "name": name,
                        "namespace": namespace,
                    }
                ],
                "hostnames": list(named),
                "rules": [rule],
            },
        },
    )


def _longest(pools: Iterable[InferencePool]) -> int:
    """Return the seconds of the longest answer that some pool allows."""
    times = (limits_of(pool).request_time for pool in pools)
    return max(seconds_of(time) if time is not None else TOTAL_SECONDS for time in times)


def _patient(seconds: int) -> dict[str, Json]:
    """Tell the known controllers to wait for answers, to pass them on as they come, and bodies."""
    return {
        "nginx.ingress.kubernetes.io/proxy-read-timeout": str(seconds),
        "nginx.ingress.kubernetes.io/proxy-send-timeout": str(seconds),
        "nginx.ingress.kubernetes.io/proxy-buffering": "off",
        "nginx.ingress.kubernetes.io/proxy-body-size": "16m",
        "haproxy.org/timeout-server": f"{seconds}s",
        "haproxy.org/timeout-client": f"{seconds}s",
        "alb.ingress.kubernetes.io/load-balancer-attributes": (
            f"idle_timeout.timeout_seconds={min(seconds, _BALANCER_SECONDS)}"
        ),
    }
