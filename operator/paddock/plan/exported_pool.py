"""The pool as the Gateway API Inference Extension's InferencePool, and whom that lets in. Pure.

Its gateways send requests to the engines themselves, to the pod that an endpoint picker names.
"""

from collections.abc import Sequence

from paddock import kinds, names
from paddock.api.exposure import FailureMode, InferenceExtension
from paddock.api.inferencepool import InferencePool
from paddock.plan.deployment import child_metadata, selector
from paddock.wire import Json, Manifest


def extension_of(pool: InferencePool) -> InferenceExtension | None:
    """Return how a pool wants to be exported."""
    gateway = pool.spec.gateway
    return gateway.inference_extension if gateway is not None else None


def build_exported_pool(pool: InferencePool, asked: InferenceExtension) -> Manifest:
    """Build the InferencePool; what the server would fill in is written, so as to be ours."""
    picker = asked.endpoint_picker
    return {
        "apiVersion": kinds.EXPORTED_POOLS.api_version,
        "kind": kinds.EXPORTED_POOLS.kind,
        "metadata": child_metadata(pool),
        "spec": {
            "selector": {"matchLabels": selector(pool)},
            "targetPorts": [{"number": names.ENGINE_PORT}],
            "endpointPickerRef": {
                "group": kinds.SERVICES.group,
                "kind": kinds.SERVICES.kind,
                "name": picker.name,
                "port": {"number": picker.port},
                "failureMode": picker.failure_mode or FailureMode.FAIL_CLOSE,
            },
        },
    }


def callers_of(asked: InferenceExtension, controllers: Sequence[str]) -> list[Json]:
    """Return the peers of a NetworkPolicy that ask an exported pool's engines."""
    namespaces: list[Json] = [
        {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": each}}}
        for each in controllers
    ]
    labels = asked.endpoint_picker.pod_labels
    return [*([{"podSelector": {"matchLabels": {**labels}}}] if labels else []), *namespaces]
