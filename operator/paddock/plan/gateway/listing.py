"""What the gateway itself answers about its models: OpenAI's and Ollama's lists and details. Pure.

Facts come from the verified artifact; nothing here asks an engine.
"""

import json
from collections.abc import Iterable

from paddock.api.localmodel import Artifact
from paddock.clock import parse_rfc3339
from paddock.plan.gateway.catalog import Offer, Served
from paddock.wire import Json

_EPOCH = "1970-01-01T00:00:00Z"
_THOUSAND = 1000


def openai_list(served: Iterable[Served]) -> str:
    """Return the answer of GET /v1/models."""
    return _text({"object": "list", "data": [_openai(each) for each in served]})


def openai_model(served: Served) -> str:
    """Return the answer of GET /v1/models/NAME."""
    return _text(_openai(served))


def ollama_list(served: Iterable[Served]) -> str:
    """Return the answer of GET /api/tags."""
    return _text({"models": [_ollama(each) for each in served]})


def ollama_running(served: Iterable[Served]) -> str:
    """Return the answer of GET /api/ps: what the engines had loaded when they were last asked."""
    loaded = [each for each in served if any(map(_is_loaded, each.offers))]
    return _text(
        {
            "models": [
                {**_ollama(each), "expires_at": "2318-01-01T00:00:00Z", "size_vram": 0}
                for each in loaded
            ]
        }
    )


def ollama_details(served: Served) -> str:
    """Return the answer of POST /api/show."""
    artifact = _artifact(served)
    architecture = artifact.architecture or "unknown"
    info: dict[str, Json] = {"general.architecture": architecture}
    if artifact.parameters is not None:
        info["general.parameter_count"] = artifact.parameters
    if artifact.context_length is not None:
        info[f"{architecture}.context_length"] = artifact.context_length
    return _text(
        {
            "modelfile": "",
            "parameters": "",
            "template": "",
            "details": _details(artifact),
            "model_info": info,
            "capabilities": ["completion"],
            "modified_at": _created(served),
        }
    )


def ollama_version(version: str) -> str:
    """Return the answer of GET /api/version."""
    return _text({"version": version})


def _openai(served: Served) -> Json:
    artifact = _artifact(served)
    return {
        "id": served.name,
        "object": "model",
        "created": int(parse_rfc3339(_created(served)).timestamp()),
        "owned_by": "paddock",
        "size": artifact.bytes,
        "quantization": artifact.quantization,
        "context_length": served.offers[0].context,
    }


def _ollama(served: Served) -> dict[str, Json]:
    artifact = _artifact(served)
    name = served.name if ":" in served.name else f"{served.name}:latest"
    return {
        "name": name,
        "model": name,
        "modified_at": _created(served),
        "size": artifact.bytes,
        "digest": artifact.digest.removeprefix("sha256:"),
        "details": _details(artifact),
    }


def _details(artifact: Artifact) -> Json:
    families: list[Json] = [artifact.architecture] if artifact.architecture else []
    return {
        "parent_model": "",
        "format": artifact.format or "",
        "family": artifact.architecture or "",
        "families": families,
        "parameter_size": _short(artifact.parameters),
        "quantization_level": artifact.quantization or "",
    }


def _short(count: int | None) -> str:
    """Write a count of parameters as Ollama does: 268.10M, 7.6B."""
    if count is None:
        return ""
    for unit, size in (("B", _THOUSAND**3), ("M", _THOUSAND**2), ("K", _THOUSAND)):
        if count >= size:
            return f"{count / size:.1f}{unit}" if unit == "B" else f"{count / size:.2f}{unit}"
    return str(count)


def _artifact(served: Served) -> Artifact:
    artifact = served.offers[0].model.model.status.artifact
    if artifact is None:
        raise ValueError(f"{served.name} is served without weights")
    return artifact


def _created(served: Served) -> str:
    return served.offers[0].model.model.metadata.creation_timestamp or _EPOCH


def _is_loaded(offer: Offer) -> bool:
    name = offer.model.served_as
    return any(each.served_as == name and each.loaded_on for each in offer.pool.status.models)


def _text(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
