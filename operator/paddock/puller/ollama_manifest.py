"""Ollama's own manifest of a model in the store: the GGUF is its model layer.

Media types: ollama's server/images.go at v0.17.4.
"""

import json
from collections.abc import Callable, Sequence

from paddock.api.chat_templates import ChatTemplate
from paddock.api.localmodel import Modelfile
from paddock.puller.fetch import StoredFile
from paddock.puller.store import Entry
from paddock.wire import Json

_PREFIX = "application/vnd.ollama.image"
_PARAMETERS = {
    "temperature": "temperature", "top_p": "top_p", "top_k": "top_k", "min_p": "min_p",
    "repeat_penalty": "repeat_penalty", "seed": "seed", "num_ctx": "num_ctx",
    "num_predict": "num_predict", "stop": "stop",
}  # fmt: skip


def build_manifest(
    add: Callable[[bytes], Entry],
    model: StoredFile,
    modelfile: Modelfile | None,
    template: ChatTemplate | None = None,
) -> tuple[dict[str, Json], Sequence[str]]:
    """Store the small layers by `add`; return the manifest and the digests it names.

    `template` is what the weights' own chat template comes to; the Modelfile's goes before.
    """
    layers = [_layer(f"{_PREFIX}.model", Entry(model.name, model.digest, model.size))]
    layers += [
        _layer(f"{_PREFIX}.{kind}", add(content.encode()))
        for kind, content in _texts(modelfile or Modelfile(), template)
    ]
    header = model.header
    config: dict[str, Json] = {
        "model_format": "gguf",
        "model_family": header.architecture if header else None,
        "model_families": [header.architecture] if header and header.architecture else None,
        "model_type": _size_name(header.parameters if header else 0),
        "file_type": header.quantization if header else None,
        "architecture": "amd64",
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
    }
    stored = add(json.dumps(config, sort_keys=True).encode())
    manifest: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
        "config": _layer("application/vnd.docker.container.image.v1+json", stored),
        "layers": layers,
    }
    return manifest, [stored.digest, *(str(layer["digest"]) for layer in layers)]


def _layer(media_type: str, entry: Entry) -> dict[str, Json]:
    return {"mediaType": media_type, "digest": entry.digest, "size": entry.size}


def _texts(modelfile: Modelfile, template: ChatTemplate | None) -> list[tuple[str, str]]:
    texts: list[tuple[str, str]] = []
    derived = template if modelfile.template is None else None
    if modelfile.template is not None:
        texts.append(("template", modelfile.template))
    elif derived is not None:
        texts.append(("template", derived.go))
    if modelfile.system is not None:
        texts.append(("system", modelfile.system))
    params: dict[str, Json] = {"stop": list(derived.stop)} if derived is not None else {}
    if modelfile.parameters is not None:
        values = modelfile.parameters.model_dump(exclude_none=True)
        params |= {_PARAMETERS[name]: value for name, value in values.items()}
    if params:
        texts.append(("params", json.dumps(params, sort_keys=True)))
    return texts


def _size_name(parameters: int) -> str:
    for unit, name in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if parameters >= unit:
            return f"{parameters / unit:.1f}{name}"
    return str(parameters)
