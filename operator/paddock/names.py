"""Every label, annotation, port, path and child name has its one spelling here.

A leaf: imports nothing of ours. Child names are deterministic, so that creating twice is creating
once.
"""

import hashlib

GROUP = "paddock.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
LOCAL_MODEL = "LocalModel"
INFERENCE_POOL = "InferencePool"

FIELD_MANAGER = "paddock"
SCALING_MANAGER = "paddock-scaling"
"""Owns the replicas of a Deployment that scales by demand."""
MANAGED_BY_LABEL = "app.kubernetes.io/managed-by"
MANAGED_BY = "paddock"
COMPONENT_LABEL = "app.kubernetes.io/component"
INSTANCE_LABEL = "app.kubernetes.io/instance"
NAME_LABEL = "app.kubernetes.io/name"
OWNER_UID_LABEL = f"{GROUP}/owner-uid"
POOL_LABEL = f"{GROUP}/pool"
MODEL_LABEL = f"{GROUP}/model"

APPLIED_ANNOTATION = f"{GROUP}/applied-hash"
SCALED_ANNOTATION = f"{GROUP}/replicas"
REVISION_ANNOTATION = f"{GROUP}/revision"
PLAN_ANNOTATION = f"{GROUP}/pull-plan-hash"
REQUEST_ANNOTATION = f"{GROUP}/request"
"""What a Job was asked for by, where a user asked."""
RETRY_ANNOTATION = f"{GROUP}/retry"
CHECK_ANNOTATION = f"{GROUP}/check"
RESTART_ANNOTATION = f"{GROUP}/restart"
VERIFY_ANNOTATION = f"{GROUP}/verify"
"""Users write these four into their models and pools; each new value is a new request."""

FINALIZER = f"{GROUP}/free-store"
LEASE = "paddock-operator"

ENGINE_PORT = 8080
ENGINE_PORT_NAME = "http"
PROGRESS_PORT = 9090
PROGRESS_PORT_NAME = "progress"
HEALTH_PORT = 8081
DRAIN_PORT = 9091
DRAIN_PATH = "/drain"
"""Where what runs beside an engine says that nobody is connected to it."""

POOL_HEADER = "x-paddock-pool"
"""NAMESPACE/NAME of the pool a request is for, as the gateway tells the activator."""
CONVERSATION_HEADER = "x-paddock-conversation"
"""A hash of where a conversation begins, by which the gateway finds its replica."""
ACTIVATOR = "paddock-activator"
"""Deployment, Service and account of the activator, in the operator's namespace."""
ACTIVATOR_PORT = 8080
ACTIVATOR_SERVICE_PORT = 80
GATEWAY = "paddock-gateway"
"""Name of a namespace's one front door: Deployment, Service, ConfigMap, NetworkPolicy."""
GATEWAY_COMPONENT = "gateway"
GATEWAYS = "gateways"
"""The plural under which passes know a namespace's gateway; no resource of the apiserver."""
WARNINGS = "warnings"
"""The plural under which passes know the look at a namespace's warnings; no resource either."""
GATEWAY_PORT = 8080
GATEWAY_SERVICE_PORT = 80
GATEWAY_TLS_PORT = 8443
GATEWAY_INNER_PORT = 8444
"""On the loopback, where requests go on that came over TLS."""
GATEWAY_STATUS_PORT = 9901
GATEWAY_ADMIN_PORT = 9902
GATEWAY_DRAIN_PORT = 9903
"""Where a kubelet drains an Envoy; its NetworkPolicy opens it to nobody."""
GATEWAY_CONFIG_PATH = "/etc/paddock"
CERTIFICATE_PATH = "/etc/paddock-certificate"
KEYS = "paddock-keys"
"""A namespace's API keys: a Secret with what signs them, a ConfigMap with what is public."""
KEYS_COMPONENT = "keys"
GATEWAY_COLLECTOR = "paddock-gateway-collector"
"""The Collector of a gateway's own signals: Deployment, Service, ConfigMap, NetworkPolicy."""
GATEWAY_COLLECTOR_COMPONENT = "gateway-collector"
OTLP_PORT = 4317
CONFIG_ANNOTATION = f"{GROUP}/config"
NUDGE_ANNOTATION = f"{GROUP}/refresh"

COLLECTOR = "collector"
"""Component and container name of a pool's own OpenTelemetry Collector."""
COLLECTOR_PORT = 8888
"""Where it tells its own metrics."""

STORE_PATH = "/store"
CLAIMS_PATH = "/claims"
CREDENTIALS_PATH = "/credentials"
LAST_WORDS_PATH = "/dev/termination-log"
"""What a container writes here is why it ended; the kubelet makes it writable for everybody."""
SCRATCH_PATH = "/tmp"  # noqa: S108 - the pod's own emptyDir, the only writable folder

NON_ROOT_ID = 65532
"""User and group of every pod we make, and the fsGroup of every volume they write."""

MAX_LABEL_LENGTH = 63
_HASH_LENGTH = 8


def short_hash(text: str) -> str:
    """Return eight hexadecimal digits that stand for the text; not a security boundary."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_LENGTH]


def fitted_name(base: str, suffix: str = "", limit: int = MAX_LABEL_LENGTH) -> str:
    """Join base and suffix, replacing what exceeds the limit by a hash so that names never collide.

    The default limit is 63 characters: what a label value and a Service name may hold.
    """
    name = f"{base}-{suffix}" if suffix else base
    if len(name) <= limit:
        return name
    tail = f"-{short_hash(base)}-{suffix}" if suffix else f"-{short_hash(base)}"
    return f"{base[: limit - len(tail)].rstrip('-.')}{tail}"


def claim_name(model: str) -> str:
    """Name the PersistentVolumeClaim that holds one model's weights."""
    return fitted_name(model, "weights")


def pull_job_name(model: str, plan_hash: str) -> str:
    """Name the Job that brings one model at one pull plan."""
    return fitted_name(model, f"pull-{plan_hash}")


def check_job_name(model: str, plan_hash: str) -> str:
    """Name the Job that asks upstream for drift."""
    return fitted_name(model, f"check-{plan_hash}")


def free_job_name(model: str, uid: str) -> str:
    """Name the Job that frees one deleted model's blobs in a claim it shared."""
    return fitted_name(model, f"free-{short_hash(uid)}")


def collector_name(pool: str) -> str:
    """Name the objects of a pool's own OpenTelemetry Collector."""
    return fitted_name(pool, "collector")


def pool_child_name(pool: str) -> str:
    """Name a pool's Deployment, Service, ConfigMap, PodDisruptionBudget and NetworkPolicy."""
    return fitted_name(pool)


def gateway_owner(namespace: str) -> str:
    """Return what a gateway's children bear for an owner's uid: many pools own them together."""
    return f"gateway-{short_hash(namespace)}"


def gateway_host(namespace: str) -> str:
    """Return the host of a namespace's gateway, inside the cluster."""
    return f"{GATEWAY}.{namespace}.svc"
