"""What every pod of ours has in common: Pod Security `restricted`, and nothing it does not need.

Pure.
"""

from collections.abc import Sequence

from paddock import names
from paddock.api.base import Toleration
from paddock.wire import Json

PULLER_PROGRAM = ("python3", "-m", "paddock.puller")
"""The puller, as the operator image holds it."""


def pod_security_context() -> dict[str, Json]:
    """Return the pod's security context; volumes belong to the pods' one group."""
    return {
        "runAsNonRoot": True,
        "runAsUser": names.NON_ROOT_ID,
        "runAsGroup": names.NON_ROOT_ID,
        "fsGroup": names.NON_ROOT_ID,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context() -> dict[str, Json]:
    """Return each container's security context."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def scratch_volume(size: str = "1Gi") -> dict[str, Json]:
    """Return the one writable volume of a pod."""
    return {"name": "scratch", "emptyDir": {"sizeLimit": size}}


def scratch_mount() -> dict[str, Json]:
    """Return where the writable volume is."""
    return {"name": "scratch", "mountPath": names.SCRATCH_PATH}


def toleration_values(tolerations: Sequence[Toleration] | None) -> list[Json]:
    """Return tolerations as Kubernetes writes them."""
    return [
        toleration.model_dump(by_alias=True, exclude_none=True) for toleration in tolerations or ()
    ]
