"""The ConfigMap of a pool: the engine's configuration files, where it has any. Pure."""

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import COMPONENT
from paddock.plan.engines.profile import EngineRun
from paddock.plan.owner import child_labels, owner_references
from paddock.wire import Manifest


def build_config_map(pool: InferencePool, run: EngineRun) -> Manifest:
    """Build the ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": names.pool_child_name(pool.metadata.name),
            "namespace": pool.metadata.namespace,
            "labels": child_labels(pool.metadata, kinds.INFERENCE_POOLS, COMPONENT),
            "ownerReferences": owner_references(pool.metadata, kinds.INFERENCE_POOLS),
        },
        "data": dict(run.files),
    }
