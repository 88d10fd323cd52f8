"""What a pool must know of an engine; one file per engine answers it.

Pure. An engine maps each `serving` knob or refuses it by name.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.wire import Json


@dataclass(frozen=True, slots=True)
class PooledModel:
    """One model of a pool with all that serving it needs."""

    served_as: str
    model: LocalModel
    store: str
    """Where the model's store is in the pod."""
    preload: bool
    context_length: int | None

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


@dataclass(frozen=True, slots=True)
class EngineRun:
    """How one replica runs: what goes into the container."""

    command: tuple[str, ...]
    args: tuple[str, ...]
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
    health_path: str
    """Answers 200 when the engine can take requests."""
    default_gpus: int
    formats: frozenset[str]
    env_prefixes: tuple[str, ...]
    """Names of `engine.env` that users may set start with one of these."""
    flags: frozenset[str]
    """Flags of `engine.args` that users may set."""
    refuse: Callable[[InferencePool, tuple[PooledModel, ...]], tuple[Refusal, ...]]
    run: Callable[[InferencePool, tuple[PooledModel, ...]], EngineRun]


CONFIG_PATH = "/config"


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


def refuse_overrides(pool: InferencePool, profile: Profile) -> tuple[Refusal, ...]:
    """Refuse environment variables and arguments that the profile does not allow."""
    refused: list[Refusal] = []
    for variable in pool.spec.engine.env or ():
        if not variable.name.startswith(profile.env_prefixes):
            allowed = " or ".join(f"{prefix}*" for prefix in profile.env_prefixes)
            path = f"spec.engine.env[{variable.name}]"
            refused.append(Refusal(path, f"Only {allowed} variables may be set."))
    for index, argument in enumerate(pool.spec.engine.args or ()):
        flag = argument.partition("=")[0]
        if flag.startswith("-") and flag not in profile.flags:
            path = f"spec.engine.args[{index}]"
            refused.append(Refusal(path, f"{flag} is not among the flags a pool may set."))
    return tuple(refused)
