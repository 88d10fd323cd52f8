"""The ConfigMap of a pool: the engine's configuration files, where it has any. Pure."""

from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import child_metadata
from paddock.plan.engines.profile import EngineRun
from paddock.wire import Manifest


def build_config_map(pool: InferencePool, run: EngineRun) -> Manifest:
    """Build the ConfigMap."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": child_metadata(pool),
        "data": dict(run.files),
    }
