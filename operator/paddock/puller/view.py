"""One Ollama store laid over the stores of several claims: links to their blobs, own manifests.

The claims are read only; the view is an emptyDir that ends with its pod. A model may have another
name or another context in the view: then its manifest differs, its weights never do. A manifest
comes from a volume others may write, so its digests are checked before they become paths.
"""

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from paddock.api.pull import PullReason
from paddock.api.view import ViewModel, ViewPlan
from paddock.puller.problems import PullError
from paddock.puller.store import BLOBS, MANIFESTS, blob_name
from paddock.wire import Json

PARAMETERS = "application/vnd.ollama.image.params"
_LATEST = "latest"
_LIMIT = 1 << 20
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def lay_view(plan: ViewPlan, target: Path) -> None:
    """Make the view; it may be there in part from a start that was cut off."""
    (target / BLOBS).mkdir(parents=True, exist_ok=True)
    for model in plan.models:
        store = Path(model.store)
        manifest = _object(_read(store / MANIFESTS / model.name / _LATEST, model), model)
        if model.context_length is not None:
            manifest = _with_context(manifest, store, target, model)
        for digest in _digests(manifest, model):
            _link(target / BLOBS / blob_name(digest), store / BLOBS / blob_name(digest))
        name, _, tag = model.served_as.partition(":")
        folder = target / MANIFESTS / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / (tag or _LATEST)).write_bytes(_bytes(manifest))


def _with_context(
    manifest: Mapping[str, Json], store: Path, target: Path, model: ViewModel
) -> Mapping[str, Json]:
    """Return the manifest with its parameters' layer replaced by one that sets the context."""
    layers = _layers(manifest, model)
    old = [layer for layer in layers if layer.get("mediaType") == PARAMETERS]
    values: dict[str, Json] = {}
    for layer in old:
        values.update(
            _object(_read(store / BLOBS / blob_name(_digest(layer, model)), model), model)
        )
    content = _bytes({**values, "num_ctx": model.context_length})
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    blob = target / BLOBS / blob_name(digest)
    if not blob.exists():
        blob.write_bytes(content)
    added: dict[str, Json] = {"mediaType": PARAMETERS, "digest": digest, "size": len(content)}
    return {**manifest, "layers": [*(layer for layer in layers if layer not in old), added]}


def _digests(manifest: Mapping[str, Json], model: ViewModel) -> Sequence[str]:
    config = manifest.get("config")
    named = [*_layers(manifest, model), *([config] if isinstance(config, Mapping) else [])]
    return [_digest(layer, model) for layer in named]


def _layers(manifest: Mapping[str, Json], model: ViewModel) -> list[Mapping[str, Json]]:
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not all(isinstance(layer, Mapping) for layer in layers):
        raise _damaged(model)
    return [layer for layer in layers if isinstance(layer, Mapping)]


def _digest(layer: Mapping[str, Json], model: ViewModel) -> str:
    digest = layer.get("digest")
    if not isinstance(digest, str) or _DIGEST.fullmatch(digest) is None:
        raise _damaged(model)
    return digest


def _link(link: Path, blob: Path) -> None:
    if not link.is_symlink() and not link.exists():
        link.symlink_to(blob)


def _read(path: Path, model: ViewModel) -> bytes:
    """Read a small plain file; what is missing, a link or too long is damage."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _damaged(model) from error
    with os.fdopen(handle, "rb") as stream:
        content = stream.read(_LIMIT + 1)
    if len(content) > _LIMIT:
        raise _damaged(model)
    return content


def _object(content: bytes, model: ViewModel) -> Mapping[str, Json]:
    try:
        value: Json = json.loads(content)
    except ValueError as error:
        raise _damaged(model) from error
    if not isinstance(value, Mapping):
        raise _damaged(model)
    return value


def _bytes(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _damaged(model: ViewModel) -> PullError:
    return PullError(
        PullReason.INVALID_ARTIFACT,
        f"The store has no whole Ollama manifest of {model.name}; pull the model again.",
    )
