"""The NetworkPolicy of a pool: in from the gateway and the operator, out to nobody. Pure."""

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import COMPONENT, selector
from paddock.plan.gateway.objects import gateway_selector
from paddock.plan.owner import child_labels, owner_references
from paddock.wire import Manifest


def build_network_policy(pool: InferencePool, operator_namespace: str) -> Manifest:
    """Build the NetworkPolicy."""
    gateway = {"matchLabels": gateway_selector()}
    operator = {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {
            "name": names.pool_child_name(pool.metadata.name),
            "namespace": pool.metadata.namespace,
            "labels": child_labels(pool.metadata, kinds.INFERENCE_POOLS, COMPONENT),
            "ownerReferences": owner_references(pool.metadata, kinds.INFERENCE_POOLS),
        },
        "spec": {
            "podSelector": {"matchLabels": selector(pool)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {
                    "from": [{"podSelector": gateway}, {"namespaceSelector": operator}],
                    "ports": [{"port": names.ENGINE_PORT, "protocol": "TCP"}],
                }
            ],
        },
    }
