"""The Service of a pool: the addresses of its ready engines, each of its own. Pure.

Headless, so that the gateway balances over pods, and finds them by DNS with the operator gone.
"""

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
            "clusterIP": "None",
            "selector": selector(pool),
            "ports": [
                {
                    "name": names.ENGINE_PORT_NAME,
                    "port": names.ENGINE_PORT,
                    "targetPort": names.ENGINE_PORT_NAME,
                    "protocol": "TCP",
                }
            ],
        },
    }
