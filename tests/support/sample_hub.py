"""What the samples pull, under the names they have it by: a hub and a library of tiny weights.

The hub answers as Hugging Face documents it, the library as a registry of Ollama's models does.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from paddock import names
from paddock.api.source import HubSource, RegistrySource, parse_source
from support.hostile.headers import one, safetensors
from support.tiny_model import write_tiny_model
from support.web_server import Site

SAMPLES = Path(__file__).resolve().parents[2] / "manifests" / "samples"
COMMIT = "5" * 40
OLLAMA = "application/vnd.ollama.image"


def samples() -> dict[str, list[dict[str, Any]]]:
    """Return the objects of each story."""
    return {
        file.stem: list(yaml.safe_load_all(file.read_text()))
        for file in sorted(SAMPLES.glob("*.yaml"))
    }


def sample_hub(folder: Path) -> Site:
    """Return a site with every model that a sample names."""
    site = Site()
    for number, spec in enumerate(_models()):
        gguf = write_tiny_model(folder / f"{number}.gguf", seed=number).read_bytes()
        source = parse_source(spec["source"])
        if isinstance(source, HubSource):
            site.files |= _repository(source, spec.get("quantization"), gguf)
        elif isinstance(source, RegistrySource):
            site.files |= _library(source, gguf)
    return site


def _models() -> list[dict[str, Any]]:
    """Return the specs of the models, each source once."""
    whole = [each for objects in samples().values() for each in objects]
    models = [each["spec"] for each in whole if each["kind"] == names.LOCAL_MODEL]
    return list({spec["source"]: spec for spec in models}.values())


def _repository(source: HubSource, quantization: str | None, gguf: bytes) -> dict[str, bytes]:
    """Return a repository of one GGUF file, or where none is asked for, of many files."""
    files = {source.file or f"model-{quantization}.gguf": gguf}
    if source.file is None and quantization is None:
        part = safetensors(one(), 16)
        files = {f"model-0000{number}-of-00002.safetensors": part for number in (1, 2)}
        files["config.json"] = b"{}"
    listing = {"sha": COMMIT, "siblings": [_sibling(*each) for each in files.items()]}
    base = f"/{source.repository}/resolve/{COMMIT}"
    return {
        f"/api/models/{source.repository}/revision/{source.revision}": _document(listing),
        **{f"{base}/{name}": content for name, content in files.items()},
    }


def _sibling(name: str, content: bytes) -> Mapping[str, Any]:
    stored = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return {"rfilename": name, "size": len(content), "lfs": stored}


def _library(source: RegistrySource, gguf: bytes) -> dict[str, bytes]:
    digest = f"sha256:{hashlib.sha256(gguf).hexdigest()}"
    layer = {"mediaType": f"{OLLAMA}.model", "digest": digest, "size": len(gguf)}
    base = f"/v2/{source.repository}"
    return {
        f"{base}/manifests/{source.reference}": _document({"layers": [layer]}),
        f"{base}/blobs/{digest}": gguf,
    }


def _document(whole: Mapping[str, Any]) -> bytes:
    return json.dumps(whole).encode()


def senders(site: Site, repositories: Sequence[str]) -> set[str | None]:
    """Return what callers said to be who they are when they asked for these repositories."""
    return {
        said
        for (path, _), said in zip(site.requests, site.authorizations, strict=True)
        if any(f"/{each}/" in path for each in repositories)
    }
