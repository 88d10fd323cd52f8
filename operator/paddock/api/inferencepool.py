"""InferencePool: replicas of one engine, on this hardware, serving these models.

Pure declarations. Fields whose machinery is not built yet are absent, not ignored.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from paddock.api.base import (
    UNSEEN,
    Condition,
    Diagnosis,
    DnsSubdomain,
    Duration,
    ExtendedResource,
    LabelValue,
    ObjectMeta,
    Quantity,
    Record,
    ServedName,
    Toleration,
)
from paddock.api.gateway import Gateway


class EngineName(StrEnum):
    """The engines a pool may run."""

    OLLAMA = "Ollama"
    LLAMA_CPP = "LlamaCpp"
    VLLM = "VLLM"


HEALTH_PATHS: Mapping[EngineName, str] = {
    EngineName.OLLAMA: "/api/version",
    EngineName.LLAMA_CPP: "/health",
    EngineName.VLLM: "/health",
}
"""Answers 200 when the engine can take requests."""
Argument = Annotated[
    str, StringConstraints(pattern=r"^[!-~]([ -~]*[!-~])?$", min_length=1, max_length=256)
]


class EngineEnv(Record):
    """One environment variable of the engine; names are allow-listed by the engine's profile."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Z0-9_]*$", max_length=128)]
    value: Annotated[str, StringConstraints(max_length=1024)]


class Engine(Record):
    """Which engine, and how it departs from its profile."""

    name: EngineName
    image: Annotated[
        str | None,
        StringConstraints(pattern=r"^[a-zA-Z0-9][-a-zA-Z0-9._/:@]{0,511}$", max_length=512),
        Field(description="Replaces the profile's image."),
    ] = None
    env: Annotated[
        tuple[EngineEnv, ...] | None,
        Field(max_length=32, json_schema_extra={"x-kubernetes-list-map-keys": ["name"]}),
    ] = None
    args: Annotated[
        tuple[Argument, ...] | None,
        Field(max_length=64, description="More arguments; allow-listed by the engine's profile."),
    ] = None


class PoolModel(Record):
    """One model the pool serves."""

    name: Annotated[DnsSubdomain, Field(description="A LocalModel of this namespace.")]
    as_: Annotated[
        ServedName | None,
        Field(alias="as", description="The served name; by default the LocalModel's name."),
    ] = None
    preload: Annotated[
        bool | None, Field(description="Load at start (default true) or on the first request.")
    ] = None
    context_length: Annotated[int | None, Field(ge=128, le=16_777_216)] = None

    @property
    def served_as(self) -> str:
        """Return the name that callers ask by."""
        return self.as_ or self.name


class Sharing(StrEnum):
    """How the GPUs of a node are shared."""

    EXCLUSIVE = "Exclusive"
    TIME_SLICED = "TimeSliced"
    MPS = "MPS"


class Hardware(Record):
    """What each replica needs of its node."""

    gpus: Annotated[int | None, Field(ge=0, le=64, description="GPUs per replica.")] = None
    resource_name: Annotated[
        ExtendedResource | None,
        Field(description="The GPU's extended resource (default nvidia.com/gpu), or a MIG profile"),
    ] = None
    sharing: Annotated[
        Sharing | None,
        Field(
            description="On nodes whose GPUs NVIDIA's plugin shares in this way: Exclusive, "
            "TimeSliced or MPS (default: on any)."
        ),
    ] = None
    device_claim: Annotated[
        DnsSubdomain | None,
        Field(
            description="A ResourceClaimTemplate of this namespace (DRA) that each replica gets "
            "its GPUs from; gpus then says how many it gives."
        ),
    ] = None
    gpu_types: Annotated[
        tuple[LabelValue, ...] | None,
        Field(min_length=1, max_length=32, description="Values of the node's GPU type label."),
    ] = None
    memory: Annotated[Quantity | None, Field(description="Memory request and limit.")] = None
    cpu: Annotated[Quantity | None, Field(description="CPU request.")] = None
    node_selector: Annotated[dict[str, LabelValue] | None, Field(max_length=32)] = None
    tolerations: Annotated[tuple[Toleration, ...] | None, Field(max_length=32)] = None
    runtime_class_name: DnsSubdomain | None = None
    priority_class_name: DnsSubdomain | None = None


class Serving(Record):
    """Engine-neutral knobs; an engine maps each one or refuses it by name."""

    context_length: Annotated[int | None, Field(ge=128, le=16_777_216)] = None
    parallel: Annotated[int | None, Field(ge=1, le=1024)] = None
    max_queue: Annotated[int | None, Field(ge=1, le=100_000)] = None
    batch_size: Annotated[int | None, Field(ge=1, le=1_048_576)] = None
    threads: Annotated[int | None, Field(ge=1, le=1024)] = None
    gpu_layers: Annotated[int, Field(ge=0, le=10_000)] | Literal["Auto"] | None = None
    flash_attention: bool | None = None
    kv_cache_type: Literal["f16", "bf16", "q8_0", "q4_0", "fp8"] | None = None
    keep_alive: Annotated[
        str | None,
        StringConstraints(pattern=r"^(-1|0|([0-9]{1,6}(s|m|h))+)$", max_length=32),
        Field(description="How long an idle model stays loaded: 30s, 5m, 1h, 0, or -1 (always)."),
    ] = None
    mmap: bool | None = None
    mlock: bool | None = None
    tensor_parallel: Annotated[int | None, Field(ge=1, le=64)] = None
    gpu_memory_utilization: Annotated[float | None, Field(gt=0, le=1)] = None
    draft_model: Annotated[
        DnsSubdomain | None,
        Field(description="A small LocalModel of this namespace that guesses tokens ahead."),
    ] = None


class Idle(Record):
    """What happens to a pool that nobody asks."""

    unload_after: Annotated[
        Duration | None,
        Field(description="Idle for so long, models leave the memory, and the replicas stay."),
    ] = None
    zero_after: Annotated[
        Duration | None,
        Field(description="Idle for so long, its replicas go (default 10m, where min is 0)."),
    ] = None


class Scaling(Record):
    """Replicas by demand, instead of a fixed number."""

    least: Annotated[
        int | None,
        Field(alias="min", ge=0, le=1000, description="Never fewer replicas (default 1)."),
    ] = None
    most: Annotated[
        int | None,
        Field(alias="max", ge=1, le=1000, description="Never more (default min, or 1)."),
    ] = None
    target_in_flight: Annotated[
        int | None,
        Field(ge=1, le=10_000, description="Requests one replica should have, queued ones too."),
    ] = None
    idle: Idle | None = None


class Otlp(Record):
    """Where telemetry goes."""

    endpoint: Annotated[
        str,
        StringConstraints(
            pattern=r"^https?://[A-Za-z0-9][-A-Za-z0-9.]*(:[0-9]{1,5})?(/[-A-Za-z0-9._~/]*)?$",
            max_length=512,
        ),
        Field(description="Base URL of an OTLP receiver; no credentials in it."),
    ]
    protocol: Annotated[
        Literal["http/protobuf", "grpc"] | None,
        Field(description="How the receiver is spoken to (default http/protobuf)."),
    ] = None


class Telemetry(Record):
    """What is measured of the pool, and where it goes."""

    collector: Annotated[
        Literal["Managed"],
        Field(description="Managed: the operator runs a Collector for this pool's engines."),
    ]
    otlp: Otlp
    sampling: Annotated[
        int | None,
        Field(
            ge=0,
            le=100,
            description="Percent of requests of which the gateway begins a trace (default 10); the "
            "greatest of the namespace's pools counts. Metrics and records are of all requests.",
        ),
    ] = None
    capture_content: Annotated[
        bool | None,
        Field(
            description="Prompts and answers go to the receiver too, in the requests' records "
            "(default false); of a model that several pools serve only where all of them say so."
        ),
    ] = None
    engine_spans: Annotated[
        bool | None,
        Field(
            description="vLLM's own spans go to the receiver too, as part of the callers' traces "
            "(default false); needs an image that has OpenTelemetry's packages."
        ),
    ] = None


class InferencePoolSpec(Record):
    """What the user wants served."""

    engine: Engine
    models: Annotated[
        tuple[PoolModel, ...],
        Field(
            min_length=1,
            max_length=64,
            json_schema_extra={"x-kubernetes-list-map-keys": ["name"]},
        ),
    ]
    replicas: Annotated[
        int | None, Field(ge=0, le=1000, description="A fixed number; excludes scaling.")
    ] = None
    scaling: Scaling | None = None
    hardware: Hardware | None = None
    serving: Serving | None = None
    telemetry: Telemetry | None = None
    gateway: Gateway | None = None


def tells_spans(pool: InferencePoolSpec) -> bool:
    """Tell whether the engines send spans of their own."""
    return pool.telemetry is not None and pool.telemetry.engine_spans is True


def needed_models(pool: InferencePoolSpec) -> tuple[str, ...]:
    """Return the LocalModels that must be there: those that are served, and the draft model."""
    draft = pool.serving.draft_model if pool.serving else None
    served = tuple(each.name for each in pool.models)
    return served if draft is None else (*served, draft)


class ServedModel(Record):
    """One model as its engines answer for it."""

    name: str
    served_as: str
    digest: str | None = None
    state: str
    loaded_on: tuple[str, ...] = ()


class Endpoint(Record):
    """Where the pool answers inside the cluster."""

    openai: Annotated[str, Field(description="Base URL of the OpenAI-compatible routes.")]
    ollama: Annotated[str | None, Field(description="Base URL of Ollama's own routes.")] = None


class Fit(Record):
    """The arithmetic of what one replica needs, in bytes."""

    weights_bytes: int
    kv_cache_bytes: int | None = None
    overhead_bytes: int
    needed_bytes: int
    limit_bytes: int | None = None
    explanation: str


class PoolEffective(Record):
    """The defaults in force."""

    image: str
    replicas: int | None = None
    resource_name: str | None = None
    gpus: int
    cpu: str | None = None
    memory: str | None = None
    runtime_class_name: str | None = None
    priority_class_name: str | None = None
    args: tuple[str, ...] = ()
    scaling: Scaling | None = None


class ScalingStatus(Record):
    """What demand asks for now."""

    desired: Annotated[int, Field(ge=0)]
    why: str
    zero_at: Annotated[str | None, Field(json_schema_extra={"format": "date-time"})] = None


class InferencePoolStatus(Record):
    """What is true of the pool."""

    observed_generation: Annotated[int, Field(ge=UNSEEN)] | None = None
    conditions: Annotated[
        tuple[Condition, ...], Field(json_schema_extra={"x-kubernetes-list-map-keys": ["type"]})
    ] = ()
    replicas: Annotated[int | None, Field(ge=0)] = None
    ready_replicas: Annotated[int | None, Field(ge=0)] = None
    selector: str | None = None
    endpoint: Endpoint | None = None
    models: tuple[ServedModel, ...] = ()
    verified_request: Annotated[
        str | None,
        Field(description="The annotation paddock.dev/verify that every replica's proof answers."),
    ] = None
    fit: Fit | None = None
    scaling: ScalingStatus | None = None
    diagnosis: tuple[Diagnosis, ...] = ()
    effective: PoolEffective | None = None


class InferencePool(Record):
    """The whole object."""

    metadata: ObjectMeta
    spec: InferencePoolSpec
    status: InferencePoolStatus = InferencePoolStatus()
