"""The shape of JSON and of Kubernetes objects on the wire. A leaf."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | bool | None"
Manifest: TypeAlias = Mapping[str, Json]
"""One Kubernetes object as the apiserver speaks it."""
