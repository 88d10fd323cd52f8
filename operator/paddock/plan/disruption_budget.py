"""The PodDisruptionBudget of a pool with several replicas: one may be away at a time. Pure.

A pool of one has none: a budget there would hold up every drain for ever.
"""

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import COMPONENT, selector
from paddock.plan.owner import child_labels, owner_references
from paddock.wire import Manifest


def build_disruption_budget(pool: InferencePool) -> Manifest:
    """Build the PodDisruptionBudget."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {
            "name": names.pool_child_name(pool.metadata.name),
            "namespace": pool.metadata.namespace,
            "labels": child_labels(pool.metadata, kinds.INFERENCE_POOLS, COMPONENT),
            "ownerReferences": owner_references(pool.metadata, kinds.INFERENCE_POOLS),
        },
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(pool)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
