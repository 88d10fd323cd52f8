"""The objects that run a namespace's gateway: Service, ConfigMap, NetworkPolicy. Pure.

All pools of the namespace own them together, so that Kubernetes removes them with the last one.
"""

from collections.abc import Sequence

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.rendering import Rendering
from paddock.wire import Json, Manifest


def gateway_labels(namespace: str) -> dict[str, Json]:
    """Return the labels of every child of a gateway."""
    return {
        names.NAME_LABEL: "paddock",
        names.MANAGED_BY_LABEL: names.MANAGED_BY,
        names.COMPONENT_LABEL: names.GATEWAY_COMPONENT,
        names.OWNER_UID_LABEL: names.gateway_owner(namespace),
    }


def gateway_selector() -> dict[str, Json]:
    """Return the labels that pick a gateway's pods within their namespace."""
    return {
        names.MANAGED_BY_LABEL: names.MANAGED_BY,
        names.COMPONENT_LABEL: names.GATEWAY_COMPONENT,
    }


def gateway_metadata(
    namespace: str,
    pools: Sequence[InferencePool],
    name: str = names.GATEWAY,
    component: str = names.GATEWAY_COMPONENT,
) -> dict[str, Json]:
    """Return the metadata of one child, owned by every pool that stays."""
    return {
        "name": name,
        "namespace": namespace,
        "labels": {**gateway_labels(namespace), names.COMPONENT_LABEL: component},
        "ownerReferences": [
            {
                "apiVersion": kinds.INFERENCE_POOLS.api_version,
                "kind": kinds.INFERENCE_POOLS.kind,
                "name": pool.metadata.name,
                "uid": pool.metadata.uid,
                "controller": False,
                "blockOwnerDeletion": False,
            }
            for pool in sorted(pools, key=lambda pool: pool.metadata.uid)
        ],
    }


def build_gateway_service(metadata: dict[str, Json], *, secured: bool) -> Manifest:
    """Build the Service: the one address of the namespace's models."""
    ports = [_port("http", names.GATEWAY_SERVICE_PORT, names.GATEWAY_PORT)]
    if secured:
        ports.append(_port("https", 443, names.GATEWAY_TLS_PORT))
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": gateway_selector(), "ports": ports},
    }


def _port(name: str, port: int, target: int) -> Json:
    return {"name": name, "port": port, "targetPort": target, "protocol": "TCP"}


def build_gateway_config_map(metadata: dict[str, Json], rendering: Rendering) -> Manifest:
    """Build the ConfigMap: everything Envoy needs to run, and to start, without the operator."""
    annotations: dict[str, Json] = {names.CONFIG_ANNOTATION: rendering.version}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {**metadata, "annotations": annotations},
        "data": dict(rendering.files),
    }


def build_gateway_disruption_budget(metadata: dict[str, Json]) -> Manifest:
    """Build the PodDisruptionBudget of a gateway of several Envoys: one may be away at a time."""
    return {
        "apiVersion": kinds.DISRUPTION_BUDGETS.api_version,
        "kind": kinds.DISRUPTION_BUDGETS.kind,
        "metadata": metadata,
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": gateway_selector()},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }


def build_gateway_network_policy(
    metadata: dict[str, Json],
    operator_namespace: str,
    controllers: Sequence[str] = (),
    *,
    secured: bool,
) -> Manifest:
    """Build the NetworkPolicy: the namespace may ask, the operator may also see the status.

    `controllers` are the namespaces of what brings requests from outside.
    """
    operator = _all_of(operator_namespace)
    outside = [_all_of(namespace) for namespace in controllers]
    ports = (names.GATEWAY_PORT, *((names.GATEWAY_TLS_PORT,) if secured else ()))
    front: list[Json] = [{"port": port, "protocol": "TCP"} for port in ports]
    status: list[Json] = [{"port": names.GATEWAY_STATUS_PORT, "protocol": "TCP"}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata,
        "spec": {
            "podSelector": {"matchLabels": gateway_selector()},
            "policyTypes": ["Ingress"],
            "ingress": [
                {"from": [{"podSelector": {}}, operator, *outside], "ports": front},
                {"from": [operator], "ports": status},
            ],
        },
    }


def _all_of(namespace: str) -> Json:
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
