"""The activator as Kubernetes objects: its account, rights, Deployment and Service. Pure.

It lives beside the operator, one for all namespaces: an operator that could make accounts and
rights in each namespace could give itself any right. One replica; a second one is safe.
"""

from collections.abc import Sequence

from paddock import kinds, names
from paddock.plan.pod import (
    container_security_context,
    pod_security_context,
    scratch_mount,
    scratch_volume,
)
from paddock.wire import Json, Manifest

PROGRAM = ("python3", "-m", "paddock.activator")
_LABELS: dict[str, Json] = {names.NAME_LABEL: "paddock", names.COMPONENT_LABEL: "activator"}
_RBAC = "rbac.authorization.k8s.io"
_GRACE_SECONDS = 630
"""As long as a request may be held, and a little more to hand it over."""


def build_activator(namespace: str, image: str) -> Sequence[Manifest]:
    """Return everything an activator for all namespaces needs."""
    account = {"name": names.ACTIVATOR, "namespace": namespace}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": names.ACTIVATOR},
            "rules": _rules(),
        },
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": names.ACTIVATOR},
            "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": names.ACTIVATOR},
            "subjects": [{"kind": "ServiceAccount", **account}],
        },
        _deployment(namespace, image),
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {**account, "labels": _LABELS},
            "spec": {
                "selector": _LABELS,
                "ports": [{"name": "http", "port": 80, "targetPort": "http"}],
            },
        },
    ]


def _rules() -> list[Json]:
    return [
        _rule(kinds.INFERENCE_POOLS.group, kinds.INFERENCE_POOLS.plural, "get"),
        _rule(kinds.DEPLOYMENTS.group, f"{kinds.DEPLOYMENTS.plural}/scale", "get", "patch"),
        _rule("discovery.k8s.io", "endpointslices", "list", "watch"),
    ]


def _rule(group: str, resource: str, *verbs: str) -> Json:
    return {"apiGroups": [group], "resources": [resource], "verbs": list(verbs)}


def _deployment(namespace: str, image: str) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": names.ACTIVATOR, "namespace": namespace, "labels": _LABELS},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "serviceAccountName": names.ACTIVATOR,
                    "enableServiceLinks": False,
                    "terminationGracePeriodSeconds": _GRACE_SECONDS,
                    "securityContext": pod_security_context(),
                    "containers": [_container(image)],
                    "volumes": [scratch_volume("64Mi")],
                },
            },
        },
    }


def _container(image: str) -> Json:
    probe: Json = {"httpGet": {"path": "/healthz", "port": names.HEALTH_PORT}, "periodSeconds": 5}
    return {
        "name": "activator",
        "image": image,
        "command": list(PROGRAM),
        "ports": [{"name": "http", "containerPort": names.ACTIVATOR_PORT}],
        "resources": {
            "requests": {"cpu": "20m", "memory": "96Mi"},
            "limits": {"memory": "256Mi"},
        },
        "securityContext": container_security_context(),
        "volumeMounts": [scratch_mount()],
        "livenessProbe": probe,
        "readinessProbe": probe,
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
    }
