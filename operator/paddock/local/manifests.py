"""Kubernetes objects that several programs of the embedded cluster need. Pure."""

from collections.abc import Sequence

from paddock.wire import Manifest


def rights(user: str, rules: Sequence[Manifest]) -> Sequence[Manifest]:
    """Return the role and binding that give a user of the cluster's own PKI these rules."""
    group = "rbac.authorization.k8s.io"
    return [
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": user},
            "rules": list(rules),
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": user},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": user},
            "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
        },
    ]
