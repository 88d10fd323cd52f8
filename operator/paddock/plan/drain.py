"""How a replica ends without failing anybody: not before its last answer is given. Pure.

Engines cut running answers at SIGTERM (llama-server and Ollama, tried), so it comes late: when
nobody is connected to the engine any more, which a small container beside it looks after. That one
is no sidecar in Kubernetes' sense, which would hold up each engine's start until it runs itself.
"""

from paddock import names
from paddock.api.base import seconds_of
from paddock.api.inferencepool import InferencePool
from paddock.plan.pod import container_security_context
from paddock.raw import named, text
from paddock.wire import Json, Manifest

DRAINER = "drain"
_PROGRAM = ("python3", "-m", "paddock.drainer")
_LEAST_SECONDS = 30
"""As long as a cluster's DNS may tell of a pod that is going: requests still come."""
_BEGIN_SECONDS = 5
"""A first process that has not begun yet never hears the one SIGTERM it gets; so it comes later."""
_MOST_SECONDS = 600
"""Of a pool that declares no time. Kubernetes (1.36) looks at a namespace that is deleted, and has
pods, again only after half of their longest grace: more is for those who ask for it."""
_END_SECONDS = 15
"""What the engine may take to end, when it is told to."""


def most_seconds(pool: InferencePool) -> int:
    """Return how long a replica of the pool waits at most for its last answer."""
    limits = pool.spec.gateway.limits if pool.spec.gateway is not None else None
    declared = limits.request_time if limits is not None else None
    return seconds_of(declared) + _LEAST_SECONDS if declared is not None else _MOST_SECONDS


def grace_seconds(pool: InferencePool) -> int:
    """Return how long a replica of the pool takes to end at most."""
    return most_seconds(pool) + _END_SECONDS


def before_the_end() -> Json:
    """Return what the kubelet does before it ends the engine: ask for a page, and wait for it."""
    return {"preStop": {"httpGet": {"path": names.DRAIN_PATH, "port": names.DRAIN_PORT}}}


def drain_container(pool: InferencePool, image: str) -> Json:
    """Return the container that holds the page; it ends by itself once the engine has."""
    numbers = names.DRAIN_PORT, names.ENGINE_PORT, _LEAST_SECONDS, most_seconds(pool)
    return {
        "name": DRAINER,
        "image": image,
        "command": [*_PROGRAM, *map(str, numbers)],
        "resources": {"requests": {"cpu": "5m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": container_security_context(),
        "lifecycle": {"preStop": {"sleep": {"seconds": _BEGIN_SECONDS}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def drain_image(deployment: Manifest) -> str | None:
    """Return the image of that container in a live Deployment, if it has one."""
    containers = "spec", "template", "spec", "containers"
    return text(named(deployment, "name", DRAINER, *containers), "image")
