"""A store on disk holding tiny real models, and the LocalModels that the puller would have made."""

import hashlib
from collections.abc import Collection
from functools import partial
from pathlib import Path

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.plan.engines.profile import PooledModel
from paddock.puller.fetch import StoredFile
from paddock.puller.gguf import read_header
from paddock.puller.ollama_manifest import build_manifest
from paddock.puller.store import Entry, Store
from paddock.wire import Json
from support.tiny_bert import write_tiny_bert
from support.tiny_model import write_tiny_model

NOW = "2026-01-01T00:00:00Z"


def add_tiny_bert(store: Store, name: str) -> LocalModel:
    """Write a model that only embeds into the store and return it as Ready."""
    weights = write_tiny_bert(store.partial / name)
    digest = f"sha256:{hashlib.sha256(weights.read_bytes()).hexdigest()}"
    size = weights.stat().st_size
    with weights.open("rb") as stream:
        header = read_header(stream, size)
    store.commit(weights, digest)
    file = f"{name}.gguf"
    stored = StoredFile(file, digest, size, header)
    manifest, digests = build_manifest(partial(store.add_bytes, name), stored, None)
    store.write_manifest(name, "latest", manifest)
    store.write_view(name, [Entry(file, digest, size)], {"blobs": list(digests)})
    return ready_model(
        name, digest, size=size, architecture=header.architecture,
        parameters=header.parameters, quantization=header.quantization,
        contextLength=header.context_length,
    )  # fmt: skip


def add_tiny_model(
    store: Store,
    name: str,
    *,
    seed: int,
    claim: str = "shared",
    markers: Collection[str] = (),
) -> LocalModel:
    """Write one model into the store and return it as Ready."""
    weights = write_tiny_model(store.partial / name, seed=seed, name=name, markers=markers)
    digest = f"sha256:{hashlib.sha256(weights.read_bytes()).hexdigest()}"
    size = weights.stat().st_size
    with weights.open("rb") as stream:
        header = read_header(stream, size)
    store.commit(weights, digest)
    file = f"{name}.gguf"
    template = header.missing_template
    manifest, digests = build_manifest(
        partial(store.add_bytes, name), StoredFile(file, digest, size, header), None, template
    )
    store.write_manifest(name, "latest", manifest)
    store.write_view(name, [Entry(file, digest, size)], {"blobs": list(digests)})
    return ready_model(
        name,
        digest,
        size=size,
        claim=claim,
        architecture="llama",
        parameters=header.parameters,
        quantization=header.quantization,
        contextLength=header.context_length,
        cacheValuesPerToken=header.cache_values_per_token,
        chatTemplate=template.name if template else None,
    )


def alpha_and_beta(folder: Path) -> dict[str, LocalModel]:
    """Make a store in the folder, with two tiny models of these names."""
    (folder / "store").mkdir()
    store = Store(folder / "store")
    return {
        name: add_tiny_model(store, name, seed=seed) for seed, name in enumerate(("alpha", "beta"))
    }


def two_models(folder: Path, *preloaded: str) -> tuple[PooledModel, ...]:
    """Make a store with alpha and beta that engines of other users may read; both as of a pool."""
    folder.chmod(0o755)
    made = alpha_and_beta(folder).values()
    return tuple(
        PooledModel(
            model.metadata.name, model, names.STORE_PATH,
            preload=model.metadata.name in preloaded, context_length=None,
        )
        for model in made
    )  # fmt: skip


def ready_model(
    name: str,
    digest: str,
    *,
    size: int = 4_000_000_000,
    claim: str | None = "shared",
    **artifact: Json,
) -> LocalModel:
    """Return a LocalModel whose weights are in their claim."""
    files = [{"name": f"{name}.gguf", "digest": digest, "bytes": size}]
    return LocalModel.model_validate(
        {
            "metadata": {"name": name, "namespace": "team", "uid": f"uid-{name}", "generation": 1},
            "spec": {
                "source": f"https://example.com/{name}.gguf",
                **({"storage": {"claimName": claim}} if claim else {}),
            },
            "status": {
                "conditions": [
                    {
                        "type": "Ready", "status": "True", "reason": "Ready", "message": "It is.",
                        "lastTransitionTime": NOW, "observedGeneration": 1,
                    }
                ],
                "artifact": {
                    "digest": digest, "format": "gguf", "bytes": size, "files": files, **artifact,
                },
            },
        }
    )  # fmt: skip


def pool_of(engine: EngineName, /, *models: str, **spec: Json) -> InferencePool:
    """Return a pool over these models."""
    own = spec.pop("engine", {})
    return InferencePool.model_validate(
        {
            "metadata": {"name": "chat", "namespace": "team", "uid": "uid-chat", "generation": 3},
            "spec": {
                "engine": {"name": engine, **(own if isinstance(own, dict) else {})},
                **({"models": [{"name": name} for name in models]} if models else {}),
                **spec,
            },
        }
    )


def renamed(pool: InferencePool, name: str) -> InferencePool:
    """Return the pool under another name."""
    metadata = pool.metadata.model_copy(update={"name": name, "uid": f"uid-{name}"})
    return pool.model_copy(update={"metadata": metadata})
