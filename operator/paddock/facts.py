"""Frozen records passed between the stages of a pass: what was observed, decided and done.

Pure data: `observe` makes them, `plan` and `status` read them. `None` means absent, never failed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel, Progress
from paddock.api.pull import PullFailure
from paddock.api.reasons import Reason
from paddock.callers import Callers
from paddock.certificates import CertificateReport
from paddock.wire import Manifest


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource of the apiserver; `plural` is its path segment."""

    group: str
    version: str
    plural: str
    kind: str

    @property
    def api_version(self) -> str:
        """Return the apiVersion that manifests of this kind carry."""
        return f"{self.group}/{self.version}" if self.group else self.version


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """The object a pass is about: one kind's plural, a namespace, a name."""

    plural: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class ContainerFact:
    """One container of a pod, as the kubelet reports it."""

    name: str
    ready: bool = False
    started: bool = False
    restarts: int = 0
    waiting_reason: str | None = None
    waiting_message: str | None = None
    exit_code: int | None = None
    exit_reason: str | None = None
    exit_message: str | None = None
    last_exit_code: int | None = None
    last_exit_reason: str | None = None
    last_exit_message: str | None = None
    memory_limit: str | None = None
    image: str | None = None
    running_since: str | None = None


@dataclass(frozen=True, slots=True)
class PodFact:
    """One pod of ours."""

    name: str
    uid: str
    phase: str
    ip: str | None = None
    node: str | None = None
    ready: bool = False
    deleting: bool = False
    scheduled: bool = False
    unschedulable_message: str | None = None
    reason: str | None = None
    message: str | None = None
    owner_uid: str | None = None
    revision: str | None = None
    """What `plan.deployment.revision_of` says of the Deployment that made it."""
    containers: tuple[ContainerFact, ...] = ()
    init_containers: tuple[ContainerFact, ...] = ()


@dataclass(frozen=True, slots=True)
class JobFact:
    """One pull, check or free Job of ours."""

    name: str
    uid: str
    resource_version: str
    plan_hash: str | None = None
    purpose: str = ""
    """The component label: pull, check or free."""
    complete: bool = False
    failed: bool = False
    failed_reason: str | None = None
    failed_message: str | None = None
    result: str | None = None
    """The termination message of its newest ended pod."""
    finished_at: datetime | None = None
    deleting: bool = False
    request: str | None = None
    """What a user had asked for when it was made."""


@dataclass(frozen=True, slots=True)
class ClaimFact:
    """One PersistentVolumeClaim a model lives in."""

    name: str
    uid: str
    resource_version: str
    phase: str
    capacity: str | None = None
    requested: str | None = None
    access_modes: tuple[str, ...] = ()
    storage_class: str | None = None
    made_for: str | None = None
    """The model label of a claim that this operator made."""
    deleting: bool = False


@dataclass(frozen=True, slots=True)
class DeploymentFact:
    """A pool's Deployment as its controller reports it."""

    name: str
    uid: str
    generation: int
    observed_generation: int
    asked: int = 1
    """What its spec asks for, whoever wrote it."""
    replicas: int = 0
    updated: int = 0
    ready: int = 0
    available: int = 0
    progressing_reason: str | None = None
    progressing_message: str | None = None
    replica_failure: str | None = None


@dataclass(frozen=True, slots=True)
class EventFact:
    """A warning the cluster recorded about one of our objects."""

    object: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """One model as an engine names it over its own REST API."""

    served_as: str
    digest: str | None = None
    loaded: bool = False
    generated: bool | None = None
    error: str | None = None
    memory: int | None = None
    gpu_memory: int | None = None
    """What it takes while it is loaded and how much of that is the GPUs'; None where not said."""
    load_seconds: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class EngineReport:
    """What one engine pod answered; `error` is a plain sentence when it did not."""

    pod: str
    answering: bool
    version: str | None = None
    models: tuple[LoadedModel, ...] = ()
    error: str | None = None
    request: str | None = None
    """The user's request that the proof answers."""


@dataclass(frozen=True, slots=True)
class PodDemand:
    """What one engine has to do, or what one gateway lets pass."""

    in_flight: int | None
    """Running and queued; None where the engine does not say."""
    mark: str
    """Differs from before if the engine has worked since."""


@dataclass(frozen=True, slots=True)
class DemandHistory:
    """What is remembered of a pool's demand from pass to pass; moments are monotonic seconds."""

    since: float
    busy_at: float
    busy_time: datetime
    known_at: float
    """When every engine last said what it had to do."""
    marks: Mapping[str, str] = field(default_factory=dict)
    """By pod uid."""
    wishes: tuple[tuple[float, int], ...] = ()
    """When how many replicas were enough, within the window."""


@dataclass(frozen=True, slots=True)
class Children:
    """The live children of one object, raw, for comparison with what is wanted."""

    manifests: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    """By (kind, name)."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Everything one pass over a LocalModel may decide on."""

    model: LocalModel
    now: datetime
    children: Children = Children()
    claim: ClaimFact | None = None
    jobs: tuple[JobFact, ...] = ()
    pods: tuple[PodFact, ...] = ()
    progress: Progress | None = None
    trouble: PullFailure | None = None
    """What is in the way of the running pull, as it says itself."""
    events: tuple[EventFact, ...] = ()
    pools: tuple[InferencePool, ...] = ()
    siblings: tuple[LocalModel, ...] = ()
    """Other LocalModels of the namespace that live in the same claim."""


@dataclass(frozen=True, slots=True)
class TlsState:
    """How a gateway serves TLS."""

    secret: str
    pool: str
    """The pool that named it."""
    until: datetime | None = None
    """When the certificate in force expires; None where an Envoy serves none yet."""
    trouble: tuple[Reason, str] | None = None


@dataclass(frozen=True, slots=True)
class GatewayState:
    """What a namespace's gateway does for its pools, as its own pass found last."""

    ready: bool
    reason: Reason
    message: str
    routes: frozenset[tuple[str, str]] = frozenset()
    """Pools' uids and served names that every running Envoy has taken, with pods behind them."""
    tls: TlsState | None = None
    not_exposed: Mapping[str, tuple[Reason, str]] = field(default_factory=dict)
    """By pool uid: why a way in from outside that it asks for is not there."""


@dataclass(frozen=True, slots=True)
class EnvoyReport:
    """What one Envoy says of itself."""

    versions: frozenset[str] = frozenset()
    """Of the files it runs: one, unless it is between two."""
    reached: frozenset[str] = frozenset()
    """Clusters in which it has found a pod that is well."""


@dataclass(frozen=True, slots=True)
class GatewayFacts:
    """Everything one pass over a namespace's gateway may decide on."""

    namespace: str
    now: datetime
    pools: tuple[InferencePool, ...] = ()
    models: Mapping[str, LocalModel] = field(default_factory=dict)
    callers: Callers = field(default_factory=Callers)
    children: Children = Children()
    pods: tuple[PodFact, ...] = ()
    reports: Mapping[str, EnvoyReport] = field(default_factory=dict)
    """By pod uid; absent where an Envoy did not answer."""
    certificates: Mapping[str, CertificateReport] = field(default_factory=dict)
    """By pod uid; absent where an Envoy did not answer, or does not serve TLS."""
    nudges: Mapping[str, str] = field(default_factory=dict)
    """The annotation by which a pod's files were last refreshed, by pod uid."""
    patient: bool = True
    """Whether what is written was written so lately that Envoys may still be taking it."""
    http_routes: bool | None = None
    """Whether the cluster has HTTPRoutes; None where they are not to be made."""
    refusal: str | None = None
    """Envoy's own words on the configuration that is wanted, where it refuses it."""
    events: tuple[EventFact, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryFact:
    """What a pool's Collector got acknowledged, by its own count."""

    grew: bool
    """The count grew since this process looked first."""
    quiet_seconds: float
    """Since it grew last, or since the first look."""


@dataclass(frozen=True, slots=True)
class PoolFacts:
    """Everything one pass over an InferencePool may decide on."""

    pool: InferencePool
    now: datetime
    children: Children = Children()
    models: Mapping[str, LocalModel] = field(default_factory=dict)
    deployment: DeploymentFact | None = None
    pods: tuple[PodFact, ...] = ()
    reports: Mapping[str, EngineReport] = field(default_factory=dict)
    """By pod uid."""
    events: tuple[EventFact, ...] = ()
    moment: float = 0.0
    """Monotonic seconds."""
    demand: Mapping[str, PodDemand] = field(default_factory=dict)
    """By pod uid, of pools that scale; an engine that did not say is absent."""
    passing: PodDemand | None = None
    """What passes through the gateway, where an engine did not say what it has in flight."""
    history: DemandHistory | None = None
    gateway: GatewayState | None = None
    collectors: tuple[PodFact, ...] = ()
    """Pods of the pool's own Collector."""
    delivery: DeliveryFact | None = None
    exportable: bool | None = None
    """Whether the cluster has the inference extension's InferencePools; None: none are made."""


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply this whole object."""

    manifest: Manifest


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete this object, if it still has this uid."""

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str | None = None


@dataclass(frozen=True, slots=True)
class Scale:
    """Set a Deployment's replicas, if it is still the one that was looked at."""

    namespace: str
    name: str
    replicas: int
    resource_version: str


Change: TypeAlias = Apply | Delete | Scale


@dataclass(frozen=True, slots=True)
class Refusal:
    """A write the apiserver refused; becomes a condition and a diagnosis."""

    object: str
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing to wait for but the next event."""

    wake: tuple[Key, ...] = ()
    """Passes that this one made news for."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Look again after this many seconds, though nothing failed."""

    seconds: float
    wake: tuple[Key, ...] = ()


@dataclass(frozen=True, slots=True)
class Blocked:
    """A write was refused; look again with back-off."""

    refusals: tuple[Refusal, ...]
    wake: tuple[Key, ...] = ()


Outcome: TypeAlias = Done | Wait | Blocked
