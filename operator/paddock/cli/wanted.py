"""The objects that `paddock run` and `paddock pull` make of a source and a few options. Pure."""

import re
from dataclasses import dataclass

from paddock import names
from paddock.api.inferencepool import EngineName
from paddock.api.source import ClaimSource, HubSource, RegistrySource, parse_source
from paddock.raw import at
from paddock.wire import Json, Manifest

USUAL_QUANTIZATION = "Q4_K_M"
"""Of a GGUF repository where nobody says which: the size most people take, not the largest."""
_LONGEST_NAME = 40
_ENDINGS = re.compile(r"(\.gguf|\.safetensors|-gguf)+$", re.IGNORECASE)
_NOT_IN_A_NAME = re.compile(r"[^a-z0-9]+")
_LOOKS_LIKE_HUB = re.compile(r"^[\w.-]+/[\w.-]+(/[\w.-]+)?$")
_LOOKS_LIKE_OLLAMA = re.compile(r"^[\w.-]+(:[\w.-]+)?$")


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for on the command line."""

    source: str
    name: str
    namespace: str | None = None
    quantization: str | None = None
    secret: str | None = None
    claim: str | None = None
    size: str | None = None
    engine: EngineName | None = None
    gpus: int | None = None
    memory: str | None = None
    replicas: int | None = None
    keys: bool = False


def name_of(source: str) -> str:
    """Name a model, and its pool, after what its source points at."""
    parsed = parse_source(source)
    if isinstance(parsed, RegistrySource):
        tag = "" if parsed.reference in ("latest", "") else f"-{parsed.reference}"
        base = parsed.repository.rpartition("/")[2] + ("" if ":" in tag else tag)
    elif isinstance(parsed, HubSource):
        base = (parsed.file or parsed.repository).rpartition("/")[2]
    elif isinstance(parsed, ClaimSource):
        base = parsed.path.rpartition("/")[2]
    else:
        base = parsed.file
    plain = _NOT_IN_A_NAME.sub("-", _ENDINGS.sub("", base).lower()).strip("-")
    return names.fitted_name(plain or "model", limit=_LONGEST_NAME)


def hint_of(source: str) -> str | None:
    """Return the source that somebody who left the scheme out may have meant."""
    if "://" in source:
        return None
    if _LOOKS_LIKE_OLLAMA.match(source):
        return f"ollama://{source}"
    return f"hf://{source}" if _LOOKS_LIKE_HUB.match(source) else None


def engine_of(source: str, gpus: int | None) -> EngineName:
    """Choose the engine by the source's scheme, its format as far as it shows, and the GPUs."""
    if source.startswith("ollama://"):
        return EngineName.OLLAMA
    parsed = parse_source(source)
    is_folder_of_tensors = isinstance(parsed, HubSource) and "gguf" not in source.lower()
    return EngineName.VLLM if gpus and is_folder_of_tensors else EngineName.LLAMA_CPP


def quantization_of(source: str) -> str | None:
    """Return the quantization to ask for where the source leaves a choice and nobody made it."""
    parsed = parse_source(source)
    is_open = isinstance(parsed, HubSource) and parsed.file is None
    return USUAL_QUANTIZATION if is_open and "gguf" in source.lower() else None


def build_model(wish: Wish) -> Manifest:
    """Return the LocalModel."""
    storage = _given(claimName=wish.claim, size=wish.size)
    spec = _given(
        source=wish.source,
        quantization=wish.quantization or quantization_of(wish.source),
        credentials=_given(secretName=wish.secret),
        storage=storage,
    )
    return _object(names.LOCAL_MODEL, wish, spec or {})


def build_pool(wish: Wish) -> Manifest:
    """Return the InferencePool that serves the model."""
    engine = wish.engine or engine_of(wish.source, wish.gpus)
    spec = _given(
        engine={"name": engine.value},
        models=[{"name": wish.name}],
        replicas=wish.replicas,
        hardware=_given(gpus=wish.gpus, memory=wish.memory),
        gateway=_given(auth=_given(apiKeys="Accepted" if wish.keys else None)),
    )
    return _object(names.INFERENCE_POOL, wish, spec or {})


def asks_for_keys(pool: Manifest) -> bool:
    """Tell whether a pool answers callers with a key, and without one only accounts it names."""
    return at(pool, "spec", "gateway", "auth", "apiKeys") is not None


def _object(kind: str, wish: Wish, spec: Json) -> Manifest:
    metadata = _given(name=wish.name, namespace=wish.namespace)
    return {"apiVersion": names.API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}


def _given(**fields: Json) -> dict[str, Json] | None:
    """Return the fields that were given, or None where none was."""
    return {key: value for key, value in fields.items() if value is not None} or None
