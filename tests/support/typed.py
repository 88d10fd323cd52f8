"""Manifests held to the types of the Kubernetes client: a field it does not know is lost."""

from typing import Any

from kubernetes import client

from paddock.wire import Json, Manifest

_API = client.ApiClient()


def as_typed(manifest: Manifest) -> Json:
    """Return what is left of a manifest after a trip through its kind's version 1 in the client."""
    typed = getattr(client, f"V1{manifest['kind']}").model_validate(manifest)
    kept: Any = _API.sanitize_for_serialization(typed)
    return without_empty(kept)


def without_empty(value: Json) -> Json:
    """Drop what the wire drops: absent and empty fields."""
    if isinstance(value, dict):
        kept = {key: without_empty(each) for key, each in value.items()}
        return {key: each for key, each in kept.items() if each not in (None, {}, [])}
    if isinstance(value, list | tuple):
        return [without_empty(each) for each in value]
    return value
