"""metrics-server: what `kubectl top` and autoscalers by CPU read. Pure: objects and arguments."""

import base64
from collections.abc import Sequence
from pathlib import Path

from paddock.local.addresses import Addresses
from paddock.local.manifests import rights
from paddock.wire import Json, Manifest

NAME = "metrics-server"
USER = "paddock-local-metrics"
HOST = f"{NAME}.kube-system.svc"
_PORT = 10255
_NAMESPACE = "kube-system"


def metrics_arguments(folder: Path, pki: Path, addresses: Addresses) -> Sequence[str]:
    """Return its arguments; it runs beside the kubelet."""
    kubeconfig = folder / f"{NAME}.kubeconfig"
    return (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        f"--bind-address={addresses.node}",
        f"--secure-port={_PORT}",
        f"--tls-cert-file={pki / f'{NAME}.crt'}",
        f"--tls-private-key-file={pki / f'{NAME}.key'}",
        f"--kubelet-certificate-authority={pki / 'ca.crt'}",
        "--kubelet-preferred-address-types=InternalIP",
        "--metric-resolution=15s",
    )


def metrics_manifests(addresses: Addresses, authority: bytes) -> Sequence[Manifest]:
    """Return the aggregated API, the Service that leads to it, and what it may read."""
    return [*_rights(), *_service(addresses), _api(authority)]


def _rights() -> Sequence[Manifest]:
    read: list[Json] = ["get", "list", "watch"]
    group = "rbac.authorization.k8s.io"
    subjects: list[Json] = [{"apiGroup": group, "kind": "User", "name": USER}]
    return [
        *rights(
            USER,
            [
                {"apiGroups": [""], "resources": ["nodes/metrics"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["pods", "nodes"], "verbs": read},
            ],
        ),
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": f"{USER}-delegator"},
            "roleRef": {
                "apiGroup": group,
                "kind": "ClusterRole",
                "name": "system:auth-delegator",
            },
            "subjects": subjects,
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{USER}-reader", "namespace": _NAMESPACE},
            "roleRef": {
                "apiGroup": group,
                "kind": "Role",
                "name": "extension-apiserver-authentication-reader",
            },
            "subjects": subjects,
        },
    ]


def _service(addresses: Addresses) -> Sequence[Manifest]:
    metadata: dict[str, Json] = {"name": NAME, "namespace": _NAMESPACE}
    return [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {"ports": [{"name": "https", "port": 443, "targetPort": _PORT}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": NAME}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [addresses.node]}],
            "ports": [{"name": "https", "port": _PORT, "protocol": "TCP"}],
        },
    ]


def _api(authority: bytes) -> Manifest:
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": "v1beta1.metrics.k8s.io"},
        "spec": {
            "group": "metrics.k8s.io",
            "version": "v1beta1",
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
            "service": {"name": NAME, "namespace": _NAMESPACE},
            "caBundle": base64.b64encode(authority).decode(),
        },
    }
