"""Objects as users declare them, for the apiserver to take or to refuse."""

from typing import Any

from paddock.wire import Manifest


def declared_pool(namespace: str, spec: dict[str, Any]) -> Manifest:
    """Return a pool of one model, and of what the test is about."""
    return {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "InferencePool",
        "metadata": {"name": "p", "namespace": namespace},
        "spec": {"engine": {"name": "LlamaCpp"}, "models": [{"name": "m"}], **spec},
    }
