"""What the gateway itself answers about its models: OpenAI's and Ollama's lists and details. Pure.

Facts come from the verified artifact; nothing here asks an engine.
"""

import json
from collections.abc import Iterable, Iterator

from paddock.api.chat_templates import ChatTemplate, template_named
from paddock.api.localmodel import Artifact, Modelfile, ModelfileParameters
from paddock.clock import parse_rfc3339
from paddock.plan.engines.profile import unload_seconds
from paddock.plan.gateway.catalog import Offer, Served
from paddock.wire import Json

_EPOCH = "1970-01-01T00:00:00Z"
_NEVER = "2318-01-01T00:00:00Z"
"""Ollama's word for it, by the longest time that its language counts."""
_THOUSAND = 1000
_NAME_WIDTH = 30
_LONGEST_TEXT = 8192
"""Every text is in the gateway's ConfigMap, which holds a mebibyte in all."""


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
    return _text({"models": [{**_ollama(each), **_until(each)} for each in loaded]})


def ollama_details(served: Served) -> str:
    """Return the answer of POST /api/show: what is known; Ollama too leaves out what is empty."""
    artifact = _artifact(served)
    model = served.offers[0].model
    return _text(
        {
            **_manner(served.offers[0]),
            "details": _details(artifact),
            "model_info": _info(artifact),
            "capabilities": ["embedding" if model.only_embeds else "completion"],
            "modified_at": _created(served),
        }
    )


def _info(artifact: Artifact) -> Json:
    architecture = artifact.architecture
    known: dict[str, Json] = {"general.parameter_count": artifact.parameters}
    if architecture is not None:
        known["general.architecture"] = architecture
        known[f"{architecture}.context_length"] = artifact.context_length
    return {key: value for key, value in known.items() if value is not None}


def _manner(offer: Offer) -> dict[str, Json]:
    """Return what the engine adds to requests by itself, as far as a Modelfile or we declare it.

    A template that the weights or Ollama's library bring is not known here.
    """
    declared = offer.model.model.spec.modelfile or Modelfile()
    derived = _derived(offer) if declared.template is None else None
    texts = {
        "template": derived.go if derived is not None else declared.template,
        "system": declared.system,
        "parameters": "\n".join(_parameters(offer.model.parameters, derived)),
    }
    return {name: text for name, text in texts.items() if text and len(text) <= _LONGEST_TEXT}


def _derived(offer: Offer) -> ChatTemplate | None:
    """Return the template that the pull wrote for Ollama, as the weights bring none."""
    if not offer.names_any_case or offer.model.model.spec.source.startswith("ollama://"):
        return None
    return template_named(_artifact_of(offer).chat_template)


def _parameters(own: ModelfileParameters, derived: ChatTemplate | None) -> Iterator[str]:
    """Write each value on a line of its own, as Ollama does."""
    values: dict[str, Json] = {"stop": list(derived.stop)} if derived is not None else {}
    values |= own.model_dump(exclude_none=True)
    for name, value in sorted(values.items()):
        for each in value if isinstance(value, list | tuple) else (value,):
            whole = int(each) if isinstance(each, float) and each.is_integer() else each
            yield f"{name:<{_NAME_WIDTH}} {json.dumps(whole, ensure_ascii=False)}"


def _until(served: Served) -> dict[str, Json]:
    """Return what is known of a loaded model's time and room; of its memory nothing is."""
    known: dict[str, Json] = {"context_length": served.offers[0].context}
    if all(_stays(offer) for offer in served.offers):
        known["expires_at"] = _NEVER
    return {key: value for key, value in known.items() if value is not None}


def _stays(offer: Offer) -> bool:
    """Tell whether the engine keeps the model for good: Ollama by itself keeps none."""
    return not offer.names_any_case and unload_seconds(offer.pool) is None


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
    return _artifact_of(served.offers[0])


def _artifact_of(offer: Offer) -> Artifact:
    artifact = offer.model.model.status.artifact
    if artifact is None:
        raise ValueError(f"{offer.model.served_as} is served without weights")
    return artifact


def _created(served: Served) -> str:
    return served.offers[0].model.model.metadata.creation_timestamp or _EPOCH


def _is_loaded(offer: Offer) -> bool:
    name = offer.model.served_as
    return any(each.served_as == name and each.loaded_on for each in offer.pool.status.models)


def _text(value: Json) -> str:
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
