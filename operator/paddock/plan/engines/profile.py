"""What a pool must know of an engine; one file per engine answers it.

Pure. An engine maps each `serving` knob or refuses it by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from paddock.api.base import seconds_of
from paddock.api.inferencepool import HEALTH_PATHS, EngineName, Hardware, InferencePool, Serving
from paddock.api.localmodel import LocalModel, Modelfile, ModelfileParameters
from paddock.wire import Json

CONFIG_PATH = "/config"
DEVICE_VARIABLES = frozenset(
    {"CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES",
     "HSA_OVERRIDE_GFX_VERSION", "GGML_VK_VISIBLE_DEVICES"}
)  # fmt: skip
"""Choose among the devices a pod was given. NVIDIA_VISIBLE_DEVICES is not one: it takes others'."""

OPENAI_PATHS = frozenset(
    {"/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"}
)
"""Inference routes of OpenAI's that every engine has."""


_EMBEDDERS = frozenset(
    {"bert", "nomic-bert", "nomic-bert-moe", "neo-bert", "jina-bert-v2", "jina-bert-v3",
     "modern-bert", "eurobert", "gemma-embedding", "llama-embed", "t5encoder"}
)  # fmt: skip
"""As src/llama-arch.cpp names them."""


@dataclass(frozen=True, slots=True)
class PooledModel:
    """One model of a pool with all that serving it needs."""

    served_as: str
    model: LocalModel
    store: str
    """Where the model's store is in the pod."""
    preload: bool
    context_length: int | None
    draft: "PooledModel | None" = None
    """The small model that guesses its tokens ahead."""

    @property
    def digest(self) -> str | None:
        """Return the digest an engine can show to have open: that of a model of one file."""
        artifact = self.model.status.artifact
        return artifact.files[0].digest if artifact and len(artifact.files) == 1 else None

    @property
    def blob_path(self) -> str:
        """Return the blob of a model of one file: a path that names the digest."""
        return f"{self.store}/blobs/{(self.digest or '').replace(':', '-')}"

    @property
    def view_path(self) -> str:
        """Return the first file's name in the model's view: siblings stand beside it."""
        artifact = self.model.status.artifact
        files = sorted(file.name for file in artifact.files) if artifact else []
        weights = [name for name in files if name.endswith(".gguf")]
        return f"{self.view_folder}/{(weights or files or [''])[0]}"

    @property
    def view_folder(self) -> str:
        """Return the folder of the model's view."""
        return f"{self.store}/models/{self.model.metadata.name}"

    @property
    def is_split(self) -> bool:
        """Return whether the model has several files."""
        return self.model.status.artifact is not None and self.digest is None

    @property
    def trained_context(self) -> int | None:
        """Return the longest context the model was made for, if it says so."""
        artifact = self.model.status.artifact
        return artifact.context_length if artifact else None

    @property
    def only_embeds(self) -> bool:
        """Tell whether its architecture cannot generate: llama-server must be told to embed."""
        artifact = self.model.status.artifact
        return artifact is not None and artifact.architecture in _EMBEDDERS

    @property
    def parameters(self) -> ModelfileParameters:
        """Return the model's own sampling and context defaults."""
        modelfile = self.model.spec.modelfile
        return (modelfile.parameters if modelfile else None) or ModelfileParameters()


@dataclass(frozen=True, slots=True)
class EngineRun:
    """How one replica runs: what goes into the container."""

    args: tuple[str, ...]
    command: tuple[str, ...] = ()
    """Empty is the image's own entry point: official images keep their programs where they like."""
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """Configuration files by name, mounted at /config."""
    volumes: tuple[tuple[str, str, Json], ...] = ()
    """More writable volumes: name, path, emptyDir."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A field the engine cannot honour: its path and one sentence."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One engine."""

    name: EngineName
    image: str
    gpu_image: str
    default_gpus: int
    formats: frozenset[str]
    variables: frozenset[str]
    """Names of `engine.env` that users may set: none that loads code, opens a port or logs prompts.
    """
    flags: frozenset[str]
    """Flags of `engine.args` that users may set."""
    refuse: Callable[[InferencePool, tuple[PooledModel, ...]], tuple[Refusal, ...]]
    run: Callable[[InferencePool, tuple[PooledModel, ...]], EngineRun]
    tokens: Callable[[InferencePool, PooledModel, int], int | None]
    """Context tokens of all requests at once, given the GPUs; None where the engine chooses."""
    paths: frozenset[str] = OPENAI_PATHS
    """Inference routes that this engine has, all POST; audio's take forms, the others JSON."""
    models_at_once: int = 1
    """How many models are held in memory at the same time."""
    loads_at_start: bool = True
    """Whether readiness waits for the weights."""
    start_seconds: int = 120
    """What starting may take, apart from reading weights."""
    in_flight: int = 4
    """Requests that one replica serves at once, where nobody says."""
    keeps_connections: bool = True
    """Whether a stream's connection may take the next request.

    llama-server (build 11669) closes it without having said so, unless it was asked to: a request
    that comes there in that moment would get 503.
    """
    joins_flags: bool = False
    """Whether a flag may carry its value after an equals sign."""

    @property
    def health_path(self) -> str:
        """Return the route that answers 200 when the engine can take requests."""
        return HEALTH_PATHS[self.name]


def declared_context(pool: InferencePool, model: PooledModel) -> int | None:
    """Return the context somebody asked for: the pool's model, the pool, then the Modelfile."""
    serving = pool.spec.serving or Serving()
    return model.context_length or serving.context_length or model.parameters.num_ctx


def gpus_of(pool: InferencePool, profile: Profile) -> int:
    """Return how many GPUs each replica has: those of a claim are one, where nobody says."""
    hardware = pool.spec.hardware or Hardware()
    if hardware.gpus is not None:
        return hardware.gpus
    return profile.default_gpus or int(hardware.device_claim is not None)


def unload_seconds(pool: InferencePool) -> int | None:
    """Return after how many idle seconds models shall leave the memory, if they shall."""
    idle = pool.spec.scaling.idle if pool.spec.scaling else None
    return seconds_of(idle.unload_after) if idle and idle.unload_after else None


def refuse_knobs(pool: InferencePool, knobs: Mapping[str, str]) -> tuple[Refusal, ...]:
    """Refuse each set `serving` knob among these, with its sentence."""
    serving = pool.spec.serving
    if serving is None:
        return ()
    aliases = {name: info.alias or name for name, info in type(serving).model_fields.items()}
    return tuple(
        Refusal(f"spec.serving.{aliases[name]}", sentence)
        for name, sentence in knobs.items()
        if getattr(serving, name) is not None
    )


def refuse_modelfile(
    index: int, model: PooledModel, fields: Mapping[str, str]
) -> tuple[Refusal, ...]:
    """Refuse each set field among these of a model's Modelfile, with its sentence."""
    modelfile = model.model.spec.modelfile or Modelfile()
    said: set[str] = {name for name in ("system", "template") if getattr(modelfile, name)}
    said |= {f"parameters.{name}" for name in model.parameters.model_dump(exclude_none=True)}
    where = f"spec.models[{index}] (modelfile of {model.model.metadata.name})"
    return tuple(
        Refusal(f"{where}.{name}", sentence) for name, sentence in fields.items() if name in said
    )
