"""What the gateway shows of a model is what a real Ollama shows of it, or less."""

from collections.abc import Mapping
from typing import Any

_ROUNDED = "parameter_size"
"""The pull rounds it in manifests otherwise than Ollama's library, which the gateway follows."""


def check_shown(told: Mapping[str, Any], shown: Mapping[str, Any]) -> None:
    """Check every key and value but the time, which is the resource's own."""
    assert told.keys() <= shown.keys()
    for key in ("template", "system", "capabilities"):
        assert told.get(key, shown.get(key)) == shown.get(key)
    lines = set(told.get("parameters", "").splitlines())
    assert lines <= set(shown.get("parameters", "").splitlines())
    assert told["model_info"].items() <= shown["model_info"].items()
    assert {**told["details"], _ROUNDED: ""} == {**shown["details"], _ROUNDED: ""}
