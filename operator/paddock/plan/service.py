"""The Service of a pool: the addresses of its ready engines, each of its own. Pure.

Headless, so that the gateway balances over pods, and finds them by DNS with the operator gone.
"""

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import child_metadata, selector
from paddock.wire import Manifest


def build_service(pool: InferencePool) -> Manifest:
    """Build the Service."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": child_metadata(pool),
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
