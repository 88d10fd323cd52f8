"""The Service of a pool: one address for its ready engines. Pure."""

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import COMPONENT, selector
from paddock.plan.owner import child_labels, owner_references
from paddock.wire import Manifest


def build_service(pool: InferencePool) -> Manifest:
    """Build the Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": names.pool_child_name(pool.metadata.name),
            "namespace": pool.metadata.namespace,
            "labels": child_labels(pool.metadata, kinds.INFERENCE_POOLS, COMPONENT),
            "ownerReferences": owner_references(pool.metadata, kinds.INFERENCE_POOLS),
        },
        "spec": {
            "selector": selector(pool),
            "ports": [
                {
                    "name": names.ENGINE_PORT_NAME,
                    "port": 80,
                    "targetPort": names.ENGINE_PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
