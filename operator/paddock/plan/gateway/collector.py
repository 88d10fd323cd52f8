"""The Collector of a gateway's signals: one small pod of the namespace, where a pool asks. Pure.

Envoys push to it over its Service; it holds no token, and nothing else may talk to it. Requests
pass all the same while it is away. Its Service is owned by its Deployment, and goes with it: the
operator needs no right to delete Services.
"""

from collections.abc import Sequence

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool, tells_spans
from paddock.facts import Children
from paddock.plan.changes import is_deleting
from paddock.plan.deployment import selector as engine_selector
from paddock.plan.gateway.objects import gateway_metadata, gateway_selector
from paddock.plan.telemetry.collector import collector_deployment_spec, port_of
from paddock.plan.telemetry.collector_config import CONFIG
from paddock.plan.telemetry.gateway_config import build_gateway_config
from paddock.raw import text
from paddock.settings import Settings
from paddock.wire import Json, Manifest


def build_gateway_collector(
    namespace: str, pools: Sequence[InferencePool], children: Children, settings: Settings
) -> tuple[Manifest, ...]:
    """Return the Collector's objects, where some pool asks for telemetry.

    The Service is among them as soon as the Deployment that owns it is there.
    """
    asking = [pool for pool in pools if pool.spec.telemetry is not None]
    if not asking:
        return ()
    metadata = gateway_metadata(
        namespace, pools, names.GATEWAY_COLLECTOR, names.GATEWAY_COLLECTOR_COMPONENT
    )
    config = build_gateway_config(asking)
    deployment = collector_deployment_spec(
        names.GATEWAY_COLLECTOR, config, settings, selector=_selector(), labels=_labels(metadata)
    )
    port: Json = {"name": "otlp", "port": names.OTLP_PORT, "protocol": "TCP"}
    service: Json = {"selector": _selector(), "ports": [port]}
    owners = _deployment_of(children)
    policy = _network_policy(asking, settings.operator_namespace)
    return (
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {CONFIG: config}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": deployment},
        *(
            {
                "apiVersion": "v1",
                "kind": "Service",
                "metadata": {**metadata, "ownerReferences": [owner]},
                "spec": service,
            }
            for owner in owners
        ),
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata,
            "spec": policy,
        },
    )


def _deployment_of(children: Children) -> tuple[Json, ...]:
    """Return a reference to the Collector's Deployment, where it is there to stay."""
    kind = kinds.DEPLOYMENTS
    live = children.manifests.get((kind.kind, names.GATEWAY_COLLECTOR))
    uid = text(live, "metadata", "uid")
    if live is None or uid is None or is_deleting(live):
        return ()
    reference: Json = {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": names.GATEWAY_COLLECTOR,
        "uid": uid,
        "controller": False,
        "blockOwnerDeletion": False,
    }
    return (reference,)


def _selector() -> dict[str, Json]:
    return {**gateway_selector(), names.COMPONENT_LABEL: names.GATEWAY_COLLECTOR_COMPONENT}


def _labels(metadata: dict[str, Json]) -> dict[str, Json]:
    labels = metadata["labels"]
    return dict(labels) if isinstance(labels, dict) else {}


def _network_policy(asking: Sequence[InferencePool], operator_namespace: str) -> dict[str, Json]:
    """Let in Envoys, engines with spans and the operator's look; let out to names and receivers."""
    operator = {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}
    receivers = {
        port_of(pool.spec.telemetry.otlp) for pool in asking if pool.spec.telemetry is not None
    }
    telling: list[Json] = [
        {"podSelector": {"matchLabels": engine_selector(pool)}}
        for pool in asking if tells_spans(pool.spec)
    ]  # fmt: skip
    dns: list[Json] = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    out: list[Json] = [{"port": port, "protocol": "TCP"} for port in sorted(receivers)]
    return {
        "podSelector": {"matchLabels": _selector()},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"podSelector": {"matchLabels": gateway_selector()}}, *telling],
                "ports": [{"port": names.OTLP_PORT, "protocol": "TCP"}],
            },
            {
                "from": [{"namespaceSelector": operator}],
                "ports": [{"port": names.COLLECTOR_PORT, "protocol": "TCP"}],
            },
        ],
        "egress": [{"ports": dns}, {"ports": out}],
    }
