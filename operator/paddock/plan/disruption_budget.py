"""The PodDisruptionBudget of a pool with several replicas: one may be away at a time. Pure.

A pool of one has none: a budget there would hold up every drain for ever.
"""

from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import child_metadata, selector
from paddock.wire import Manifest


def build_disruption_budget(pool: InferencePool) -> Manifest:
    """Build the PodDisruptionBudget."""
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": child_metadata(pool),
        "spec": {
            "maxUnavailable": 1,
            "selector": {"matchLabels": selector(pool)},
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    }
