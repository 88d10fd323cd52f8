"""The Deployment of a pool: replicas of one engine over its models' claims.

Pure. A new revision comes up beside the old one (maxSurge 1, maxUnavailable 0), so a bad one never
takes the place of one that serves.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddock import kinds, names
from paddock.api.inferencepool import Hardware, InferencePool, Sharing
from paddock.api.view import VIEW_VARIABLE, ViewPlan
from paddock.plan.drain import before_the_end, drain_container, grace_seconds
from paddock.plan.engines.profile import CONFIG_PATH, EngineRun, Profile
from paddock.plan.owner import child_labels, owner_references
from paddock.plan.pod import (
    PULLER_PROGRAM,
    container_security_context,
    pod_security_context,
    scratch_mount,
    scratch_volume,
    toleration_values,
)
from paddock.raw import text
from paddock.wire import Json, Manifest

COMPONENT = "engine"
NVIDIA_GPU = "nvidia.com/gpu"
_VIEW, _DEVICES = "view", "gpus"
_SHARING_LABEL = "nvidia.com/gpu.sharing-strategy"
"""By which NVIDIA's GPU feature discovery says how a node shares; absent where it never did."""
_SHARED = {Sharing.TIME_SLICED: "time-slicing", Sharing.MPS: "mps"}
_NO_GPU = {"NVIDIA_VISIBLE_DEVICES": "void"}
"""Engines' images say `all`, which NVIDIA's runtime grants to pods that asked for none."""
_PROBE_PERIOD = 5
_LOAD_BYTES_PER_SECOND = 50_000_000
"""The slowest disk a pool is expected to load from; sets the start-up deadline."""
_IMAGE_SECONDS = 1800
"""What fetching an engine's image may take before a rollout counts as stuck."""
_MIN_READY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Replica:
    """All that one replica's pod is made of."""

    profile: Profile
    run: EngineRun
    image: str
    claims: tuple[tuple[str, str], ...]
    """Claim name and mount path."""
    weights_bytes: int
    cpu: str
    memory: str
    gpus: int
    gpu_resource: str
    gpu_type_label: str
    runtime_class: str | None = None
    priority_class: str | None = None
    claims_gpus: bool = False
    """Whether they come by a device claim, not by counting a resource."""
    view: ViewPlan | None = None
    """Laid over the claims by an init container where their stores alone do not serve."""
    operator_image: str = ""
    unnamed_weights: tuple[str, ...] = ()
    """Digests of models that are opened by a path which stays when the weights change."""
    restart: str | None = None
    """What the user asked for the pods' last restart by."""


def build_deployment(pool: InferencePool, replica: Replica, replicas: int) -> Manifest:
    """Build the Deployment."""
    metadata = child_metadata(pool)
    start_seconds = start_deadline(replica)
    pod = _pod(pool, replica, start_seconds)
    template: dict[str, Json] = {
        "metadata": {
            "labels": metadata["labels"],
            "annotations": {
                names.REVISION_ANNOTATION: _revision(pod, replica),
                **({names.RESTART_ANNOTATION: replica.restart} if replica.restart else {}),
            },
        },
        "spec": pod,
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "minReadySeconds": _MIN_READY_SECONDS,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": start_seconds + _IMAGE_SECONDS,
            "selector": {"matchLabels": selector(pool)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": template,
        },
    }


def child_metadata(pool: InferencePool) -> dict[str, Json]:
    """Return the metadata of a pool's child: one name, and the pool as its owner."""
    return {
        "name": names.pool_child_name(pool.metadata.name),
        "namespace": pool.metadata.namespace,
        "labels": child_labels(pool.metadata, kinds.INFERENCE_POOLS, COMPONENT),
        "ownerReferences": owner_references(pool.metadata, kinds.INFERENCE_POOLS),
    }


def selector(pool: InferencePool) -> dict[str, Json]:
    """Return the labels that pick the pool's pods."""
    return {
        names.POOL_LABEL: names.fitted_name(pool.metadata.name),
        names.COMPONENT_LABEL: COMPONENT,
    }


def start_deadline(replica: Replica) -> int:
    """Return the seconds an engine may take until it is ready, weights and all."""
    reading = replica.weights_bytes if replica.profile.loads_at_start else 0
    return replica.profile.start_seconds + reading // _LOAD_BYTES_PER_SECOND


def revision_of(deployment: Manifest) -> str | None:
    """Return the revision that a Deployment asks for; its pods carry the same annotation."""
    return _annotation_of_pods(deployment, names.REVISION_ANNOTATION)


def restart_of(deployment: Manifest) -> str | None:
    """Return what the last restart of a Deployment's pods was asked for by."""
    return _annotation_of_pods(deployment, names.RESTART_ANNOTATION)


def _annotation_of_pods(deployment: Manifest, name: str) -> str | None:
    return text(deployment, "spec", "template", "metadata", "annotations", name)


def _revision(pod: Mapping[str, Json], replica: Replica) -> str:
    """Hash the pod, and what its text does not tell: a change of these rolls the pods too."""
    parts: list[Json] = [dict(pod), dict(replica.run.files)]
    if replica.unnamed_weights:
        parts.append(list(replica.unnamed_weights))
    if replica.restart:
        parts.append(replica.restart)
    return names.short_hash(json.dumps(parts, sort_keys=True))


def _pod(pool: InferencePool, replica: Replica, start_seconds: int) -> dict[str, Json]:
    hardware = pool.spec.hardware or Hardware()
    pod: dict[str, Json] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": grace_seconds(pool),
        "securityContext": pod_security_context(),
        "containers": [
            _container(pool, replica, start_seconds),
            drain_container(pool, replica.operator_image),
        ],
        "volumes": _volumes(pool, replica),
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": selector(pool)},
            }
        ],
    }
    optional: dict[str, Json] = {
        "nodeSelector": dict(hardware.node_selector) if hardware.node_selector else None,
        "initContainers": [_view_container(replica)] if replica.view is not None else None,
        "tolerations": _tolerations(replica, hardware) or None,
        "runtimeClassName": replica.runtime_class,
        "priorityClassName": replica.priority_class,
        "affinity": _affinity(replica.gpu_type_label, hardware),
        "resourceClaims": _resource_claims(hardware.device_claim),
    }
    pod.update({key: value for key, value in optional.items() if value is not None})
    return pod


def _tolerations(replica: Replica, hardware: Hardware) -> list[Json]:
    """Return the user's, and that of nodes kept for pods that ask for their GPUs.

    Nodes of MIG profiles and shared GPUs carry NVIDIA's one taint too.
    """
    own = toleration_values(hardware.tolerations)
    vendor, _, _ = replica.gpu_resource.partition("/")
    key = NVIDIA_GPU if vendor == "nvidia.com" else replica.gpu_resource
    if (
        not replica.gpus
        or replica.claims_gpus
        or any(each.key == key for each in hardware.tolerations or ())
    ):
        return own
    return [*own, {"key": key, "operator": "Exists", "effect": "NoSchedule"}]


def _view_container(replica: Replica) -> dict[str, Json]:
    """Return the init container that lays one store over several claims."""
    plan = replica.view.model_dump_json(by_alias=True, exclude_none=True) if replica.view else ""
    return {
        "name": "view",
        "image": replica.operator_image,
        "command": [*PULLER_PROGRAM, "view"],
        "env": [{"name": VIEW_VARIABLE, "value": plan}],
        "resources": {
            "requests": {"cpu": "50m", "memory": "128Mi"},
            "limits": {"memory": "128Mi"},
        },
        "securityContext": container_security_context(),
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            *_claim_mounts(replica),
            {"name": _VIEW, "mountPath": names.STORE_PATH},
            scratch_mount(),
        ],
    }


def _affinity(type_label: str, hardware: Hardware) -> Json:
    found: list[Json] = []
    if hardware.gpu_types:
        found.append(_expression(type_label, "In", hardware.gpu_types))
    if hardware.sharing is Sharing.EXCLUSIVE:
        found.append(_expression(_SHARING_LABEL, "NotIn", tuple(_SHARED.values())))
    elif hardware.sharing is not None:
        found.append(_expression(_SHARING_LABEL, "In", (_SHARED[hardware.sharing],)))
    if not found:
        return None
    terms: list[Json] = [{"matchExpressions": found}]
    required: dict[str, Json] = {"nodeSelectorTerms": terms}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


def _expression(label: str, operator: str, values: Sequence[str]) -> Json:
    return {"key": label, "operator": operator, "values": list(values)}


def _resource_claims(template: str | None) -> Json:
    return [{"name": _DEVICES, "resourceClaimTemplateName": template}] if template else None


def _container(pool: InferencePool, replica: Replica, start_seconds: int) -> dict[str, Json]:
    own = {each.name: each.value for each in pool.spec.engine.env or ()}
    env = {**_NO_GPU, **replica.run.env, **own} if not replica.gpus else {**replica.run.env, **own}
    probe: dict[str, Json] = {
        "httpGet": {"path": replica.profile.health_path, "port": names.ENGINE_PORT_NAME},
        "timeoutSeconds": 5,
    }
    return {
        "name": COMPONENT,
        "image": replica.image,
        **({"command": list(replica.run.command)} if replica.run.command else {}),
        "args": [*replica.run.args, *(pool.spec.engine.args or ())],
        "env": [{"name": name, "value": value} for name, value in sorted(env.items())],
        "ports": [{"name": names.ENGINE_PORT_NAME, "containerPort": names.ENGINE_PORT}],
        "resources": _resources(replica),
        "securityContext": container_security_context(),
        "volumeMounts": _mounts(replica),
        "startupProbe": {
            **probe,
            "periodSeconds": _PROBE_PERIOD,
            "failureThreshold": start_seconds // _PROBE_PERIOD,
        },
        "readinessProbe": {**probe, "periodSeconds": _PROBE_PERIOD, "failureThreshold": 3},
        "livenessProbe": {**probe, "periodSeconds": 20, "failureThreshold": 6},
        "lifecycle": before_the_end(),
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _resources(replica: Replica) -> dict[str, Json]:
    requests: dict[str, Json] = {"cpu": replica.cpu, "memory": replica.memory}
    limits: dict[str, Json] = {"memory": replica.memory}
    if replica.claims_gpus:
        return {"requests": requests, "limits": limits, "claims": [{"name": _DEVICES}]}
    if replica.gpus:
        requests[replica.gpu_resource] = limits[replica.gpu_resource] = str(replica.gpus)
    return {"requests": requests, "limits": limits}


def _volumes(pool: InferencePool, replica: Replica) -> list[Json]:
    volumes: list[Json] = [
        {"name": f"claim-{index}", "persistentVolumeClaim": {"claimName": claim}}
        for index, (claim, _) in enumerate(replica.claims)
    ]
    volumes.append(scratch_volume("4Gi"))
    if replica.view is not None:
        volumes.append({"name": _VIEW, "emptyDir": {"sizeLimit": "64Mi"}})
    volumes += [{"name": name, "emptyDir": source} for name, _, source in replica.run.volumes]
    if replica.run.files:
        name = names.pool_child_name(pool.metadata.name)
        volumes.append({"name": "config", "configMap": {"name": name}})
    return volumes


def _claim_mounts(replica: Replica) -> list[Json]:
    return [
        {"name": f"claim-{index}", "mountPath": path, "readOnly": True}
        for index, (_, path) in enumerate(replica.claims)
    ]


def _mounts(replica: Replica) -> list[Json]:
    mounts = [*_claim_mounts(replica), scratch_mount()]
    if replica.view is not None:
        mounts.append({"name": _VIEW, "mountPath": names.STORE_PATH, "readOnly": True})
    mounts += [{"name": name, "mountPath": path} for name, path, _ in replica.run.volumes]
    if replica.run.files:
        mounts.append({"name": "config", "mountPath": CONFIG_PATH, "readOnly": True})
    return mounts
