"""The operator as Kubernetes objects: its namespace, account, rights and Deployment. Pure."""

from collections.abc import Sequence

from paddock import kinds, names
from paddock.facts import Kind
from paddock.local.install_activator import build_activator
from paddock.plan.pod import (
    container_security_context,
    pod_security_context,
    scratch_mount,
    scratch_volume,
)
from paddock.wire import Json, Manifest

NAMESPACE = "paddock-system"
NAME = "paddock-operator"
_LABELS: dict[str, Json] = {names.NAME_LABEL: "paddock", names.COMPONENT_LABEL: "operator"}
_READ = ("get", "list", "watch")
_OWNED = ("get", "list", "watch", "create", "patch", "delete")


def build_install(image: str, arguments: Sequence[str]) -> Sequence[Manifest]:
    """Return everything an operator for all namespaces needs, but the CRDs."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": NAME, "namespace": NAMESPACE},
        },
        _cluster_role(),
        _binding("ClusterRoleBinding", "ClusterRole"),
        _lease_role(),
        _binding("RoleBinding", "Role"),
        _deployment(image, arguments),
        *build_activator(NAMESPACE, image),
    ]


def _rule(kind: Kind, verbs: Sequence[str], subresource: str = "") -> Json:
    resource = f"{kind.plural}/{subresource}" if subresource else kind.plural
    return {"apiGroups": [kind.group], "resources": [resource], "verbs": list(verbs)}


def _cluster_role() -> Manifest:
    rules = [_rule(kind, (*_READ, "patch")) for kind in kinds.OWN]
    rules += [_rule(kind, ("patch",), "status") for kind in kinds.OWN]
    rules += [_rule(kind, _OWNED) for kind in (*kinds.MODEL_CHILDREN, *kinds.POOL_CHILDREN)]
    rules += [_rule(kinds.DEPLOYMENTS, ("patch",), "scale")]
    rules += [_rule(kinds.PODS, ("list", "watch")), _rule(kinds.EVENTS, ("list",))]
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": NAME},
        "rules": rules,
    }


def _lease_role() -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "rules": [_rule(kinds.LEASES, ("get", "create", "update"))],
    }


def _binding(kind: str, role: str) -> Manifest:
    metadata: dict[str, Json] = {"name": NAME}
    if kind == "RoleBinding":
        metadata["namespace"] = NAMESPACE
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": kind,
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": role, "name": NAME},
        "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": NAMESPACE}],
    }


def _deployment(image: str, arguments: Sequence[str]) -> Manifest:
    probe: dict[str, Json] = {"port": names.HEALTH_PORT}
    container: dict[str, Json] = {
        "name": "operator",
        "image": image,
        "args": ["operator", *arguments],
        "ports": [{"name": "health", "containerPort": names.HEALTH_PORT}],
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "512Mi"},
        },
        "securityContext": container_security_context(),
        "volumeMounts": [scratch_mount()],
        "livenessProbe": {"httpGet": {"path": "/healthz", **probe}, "periodSeconds": 10},
        "readinessProbe": {"httpGet": {"path": "/readyz", **probe}, "periodSeconds": 2},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": NAME, "namespace": NAMESPACE, "labels": _LABELS},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": _LABELS},
            "template": {
                "metadata": {"labels": _LABELS},
                "spec": {
                    "serviceAccountName": NAME,
                    "enableServiceLinks": False,
                    "securityContext": pod_security_context(),
                    "containers": [container],
                    "volumes": [scratch_volume("64Mi")],
                },
            },
        },
    }
