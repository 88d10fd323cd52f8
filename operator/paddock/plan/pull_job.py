"""The Jobs of a LocalModel: the pull, and the one that frees a deleted model's blobs.

Pure. A Job is made once and never changed: its name carries the hash of what it does.
"""

import hashlib
import json

from paddock import kinds, names
from paddock.api.localmodel import LocalModel, Pull
from paddock.api.pull import EXIT_STOP, PLAN_VARIABLE, Access, PullPlan
from paddock.api.source import ClaimSource, parse_source
from paddock.plan.owner import child_labels, owner_references
from paddock.plan.pod import (
    container_security_context,
    pod_security_context,
    scratch_mount,
    scratch_volume,
    toleration_values,
)
from paddock.plan.requests import asked
from paddock.settings import Settings, SourcePolicy
from paddock.wire import Json, Manifest

PULL, CHECK, FREE = "pull", "check", "free"
DEFAULT_PARALLELISM = 8
DEFAULT_DEADLINE = 86_400
_RETRIES = 3
_PROGRAM = ("python3", "-m", "paddock.puller")
_HASH = 10


def pull_hash(model: LocalModel, claim: str) -> str:
    """Hash what makes a pull another pull: the wish, not how fast or how often it is tried."""
    spec = model.spec
    wish: dict[str, Json] = {
        "source": spec.source,
        "quantization": spec.quantization,
        "digest": spec.digest,
        "claim": claim,
        "credentials": spec.credentials.secret_name if spec.credentials else None,
        "modelfile": spec.modelfile.model_dump(exclude_none=True) if spec.modelfile else None,
        "uid": model.metadata.uid,
    }
    return hashlib.sha256(json.dumps(wish, sort_keys=True).encode()).hexdigest()[:_HASH]


def attempt_hash(model: LocalModel) -> str:
    """Hash all of the spec: a failed pull is tried again when any of it changes."""
    return hashlib.sha256(model.spec.model_dump_json().encode()).hexdigest()[:_HASH]


def build_pull_job(
    model: LocalModel,
    settings: Settings,
    *,
    claim: str,
    locked_digest: str | None,
    max_bytes: int | None,
) -> Manifest:
    """Build the Job that brings the model into the claim."""
    text = _plan_text(model, settings, model.spec.digest or locked_digest, max_bytes)
    container: dict[str, Json] = {
        "name": PULL,
        "image": settings.images.operator,
        "command": [*_PROGRAM],
        "env": [{"name": PLAN_VARIABLE, "value": text}],
        "ports": [{"name": names.PROGRESS_PORT_NAME, "containerPort": names.PROGRESS_PORT}],
        "resources": _resources(model.spec.pull),
        "terminationMessagePolicy": "File",
        "securityContext": container_security_context(),
        "volumeMounts": [
            {"name": "store", "mountPath": names.STORE_PATH},
            scratch_mount(),
            *_credential_mounts(model),
        ],
    }
    return _job(
        model,
        name=names.pull_job_name(model.metadata.name, pull_hash(model, claim)),
        component=PULL,
        request=asked(model.metadata, names.RETRY_ANNOTATION),
        container=container,
        volumes=[
            _store_volume(claim),
            scratch_volume(),
            *_credential_volumes(model),
        ],
    )


def build_check_job(model: LocalModel, settings: Settings, max_bytes: int | None) -> Manifest:
    """Build the Job that asks the source what it offers now; only a claim is mounted, to look."""
    source = parse_source(model.spec.source)
    claim = source.claim if isinstance(source, ClaimSource) else None
    mount: Json = {"name": "store", "mountPath": names.STORE_PATH, "readOnly": True}
    looked_at = [mount] if claim else []
    container: dict[str, Json] = {
        "name": CHECK,
        "image": settings.images.operator,
        "command": [*_PROGRAM, "check"],
        "env": [{"name": PLAN_VARIABLE, "value": _plan_text(model, settings, None, max_bytes)}],
        "resources": _resources(None),
        "terminationMessagePolicy": "File",
        "securityContext": container_security_context(),
        "volumeMounts": [
            scratch_mount(),
            *_credential_mounts(model),
            *looked_at,
        ],
    }
    return _job(
        model,
        name=names.check_job_name(model.metadata.name, attempt_hash(model)),
        component=CHECK,
        request=asked(model.metadata, names.CHECK_ANNOTATION),
        container=container,
        volumes=[
            scratch_volume(),
            *_credential_volumes(model),
            *([_store_volume(claim, read_only=True)] if claim else []),
        ],
    )


def _plan_text(
    model: LocalModel, settings: Settings, digest: str | None, max_bytes: int | None
) -> str:
    plan = PullPlan(
        model=model.metadata.name,
        source=model.spec.source,
        quantization=model.spec.quantization,
        max_bytes=max_bytes,
        digest=digest,
        parallelism=(model.spec.pull or Pull()).parallelism or DEFAULT_PARALLELISM,
        access=_access(settings.source),
        modelfile=model.spec.modelfile,
    )
    return plan.model_dump_json(by_alias=True, exclude_none=True)


def build_free_job(model: LocalModel, settings: Settings, *, claim: str) -> Manifest:
    """Build the Job that removes a deleted model from a claim it shared."""
    container: dict[str, Json] = {
        "name": FREE,
        "image": settings.images.operator,
        "command": [*_PROGRAM, "delete", model.metadata.name],
        "resources": _resources(None),
        "securityContext": container_security_context(),
        "volumeMounts": [{"name": "store", "mountPath": names.STORE_PATH}, scratch_mount()],
    }
    return _job(
        model,
        name=names.free_job_name(model.metadata.name, model.metadata.uid),
        component=FREE,
        container=container,
        volumes=[
            _store_volume(claim),
            scratch_volume(),
        ],
    )


def _job(
    model: LocalModel,
    *,
    name: str,
    component: str,
    container: dict[str, Json],
    volumes: list[Json],
    request: str | None = None,
) -> Manifest:
    pull = model.spec.pull or Pull()
    labels = child_labels(model.metadata, kinds.LOCAL_MODELS, component)
    pod: dict[str, Json] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "securityContext": pod_security_context(),
        "containers": [container],
        "volumes": volumes,
    }
    if pull.node_selector:
        pod["nodeSelector"] = dict(pull.node_selector)
    if pull.tolerations:
        pod["tolerations"] = toleration_values(pull.tolerations)
    stop: dict[str, Json] = {
        "action": "FailJob",
        "onExitCodes": {"containerName": component, "operator": "In", "values": [EXIT_STOP]},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": name,
            "namespace": model.metadata.namespace,
            "labels": labels,
            "annotations": {
                names.PLAN_ANNOTATION: attempt_hash(model),
                **({names.REQUEST_ANNOTATION: request} if request else {}),
            },
            "ownerReferences": owner_references(model.metadata, kinds.LOCAL_MODELS),
        },
        "spec": {
            "backoffLimit": _RETRIES,
            "activeDeadlineSeconds": pull.deadline_seconds or DEFAULT_DEADLINE,
            "podReplacementPolicy": "Failed",
            "podFailurePolicy": {"rules": [stop]},
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def _store_volume(claim: str, *, read_only: bool = False) -> dict[str, Json]:
    named: dict[str, Json] = {"claimName": claim, **({"readOnly": True} if read_only else {})}
    return {"name": "store", "persistentVolumeClaim": named}


def _access(policy: SourcePolicy) -> Access:
    return Access(
        hosts=policy.allowed_hosts,
        cidrs=policy.allowed_cidrs,
        http=policy.allow_http,
        hf_endpoint=policy.hf_endpoint,
        ollama_registry=policy.ollama_registry,
    )


def _resources(pull: Pull | None) -> dict[str, Json]:
    """Return requests and limits; the default limit holds whatever the model's size."""
    asked = pull.resources if pull else None
    memory = str(asked.memory) if asked and asked.memory else "512Mi"
    cpu = str(asked.cpu) if asked and asked.cpu else "100m"
    return {"requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory}}


def _credential_volumes(model: LocalModel) -> list[Json]:
    if model.spec.credentials is None:
        return []
    secret: dict[str, Json] = {"secretName": model.spec.credentials.secret_name, "defaultMode": 288}
    return [{"name": "credentials", "secret": secret}]


def _credential_mounts(model: LocalModel) -> list[Json]:
    if model.spec.credentials is None:
        return []
    mount: dict[str, Json] = {"mountPath": names.CREDENTIALS_PATH, "readOnly": True}
    return [{"name": "credentials", **mount}]
