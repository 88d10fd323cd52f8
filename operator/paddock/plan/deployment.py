"""The Deployment of a pool: replicas of one engine over its models' claims.

Pure. A new revision comes up beside the old one (maxSurge 1, maxUnavailable 0), so a bad one never
takes the place of one that serves.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

from paddock import kinds, names
from paddock.api.inferencepool import Hardware, InferencePool
from paddock.plan.engines.profile import CONFIG_PATH, EngineRun, Profile
from paddock.plan.owner import child_labels, owner_references
from paddock.plan.pod import (
    container_security_context,
    pod_security_context,
    scratch_mount,
    scratch_volume,
    toleration_values,
)
from paddock.wire import Json, Manifest

COMPONENT = "engine"
_PROBE_PERIOD = 5
_LOAD_BYTES_PER_SECOND = 50_000_000
"""The slowest disk a pool is expected to load from; sets the start-up deadline."""
_SHORTEST_START = 120
_DRAIN_SECONDS = 120


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


def build_deployment(pool: InferencePool, replica: Replica, replicas: int) -> Manifest:
    """Build the Deployment."""
    labels = child_labels(pool.metadata, kinds.INFERENCE_POOLS, COMPONENT)
    start_seconds = start_deadline(replica.weights_bytes)
    template: dict[str, Json] = {
        "metadata": {"labels": labels, "annotations": {_CONFIG_HASH: config_hash(replica.run)}},
        "spec": _pod(pool, replica, start_seconds),
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": names.pool_child_name(pool.metadata.name),
            "namespace": pool.metadata.namespace,
            "labels": labels,
            "ownerReferences": owner_references(pool.metadata, kinds.INFERENCE_POOLS),
        },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": start_seconds + 60,
            "selector": {"matchLabels": selector(pool)},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": template,
        },
    }


_CONFIG_HASH = f"{names.GROUP}/config-hash"


def selector(pool: InferencePool) -> dict[str, Json]:
    """Return the labels that pick the pool's pods."""
    return {
        names.POOL_LABEL: names.fitted_name(pool.metadata.name),
        names.COMPONENT_LABEL: COMPONENT,
    }


def start_deadline(weights_bytes: int) -> int:
    """Return the seconds an engine may take to load weights of this size."""
    return _SHORTEST_START + weights_bytes // _LOAD_BYTES_PER_SECOND


def config_hash(run: EngineRun) -> str:
    """Hash the configuration files, so that a change of them rolls the pods."""
    return hashlib.sha256(json.dumps(dict(run.files), sort_keys=True).encode()).hexdigest()[:16]


def _pod(pool: InferencePool, replica: Replica, start_seconds: int) -> dict[str, Json]:
    hardware = pool.spec.hardware or Hardware()
    pod: dict[str, Json] = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _DRAIN_SECONDS,
        "securityContext": pod_security_context(),
        "containers": [_container(pool, replica, start_seconds)],
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
        "tolerations": toleration_values(hardware.tolerations) or None,
        "runtimeClassName": hardware.runtime_class_name,
        "priorityClassName": hardware.priority_class_name,
        "affinity": _affinity(replica.gpu_type_label, hardware.gpu_types),
    }
    pod.update({key: value for key, value in optional.items() if value is not None})
    return pod


def _affinity(label: str, types: Sequence[str] | None) -> Json:
    if not types:
        return None
    expression: dict[str, Json] = {"key": label, "operator": "In", "values": list(types)}
    return {
        "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{"matchExpressions": [expression]}]
            }
        }
    }


def _container(pool: InferencePool, replica: Replica, start_seconds: int) -> dict[str, Json]:
    env = {**replica.run.env, **{each.name: each.value for each in pool.spec.engine.env or ()}}
    probe: dict[str, Json] = {
        "httpGet": {"path": replica.profile.health_path, "port": names.ENGINE_PORT_NAME},
        "timeoutSeconds": 5,
    }
    return {
        "name": COMPONENT,
        "image": replica.image,
        "command": list(replica.run.command),
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
        "lifecycle": {"preStop": {"sleep": {"seconds": 5}}},
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _resources(replica: Replica) -> dict[str, Json]:
    requests: dict[str, Json] = {"cpu": replica.cpu, "memory": replica.memory}
    limits: dict[str, Json] = {"memory": replica.memory}
    if replica.gpus:
        requests[replica.gpu_resource] = limits[replica.gpu_resource] = str(replica.gpus)
    return {"requests": requests, "limits": limits}


def _volumes(pool: InferencePool, replica: Replica) -> list[Json]:
    volumes: list[Json] = [
        {"name": f"claim-{index}", "persistentVolumeClaim": {"claimName": claim}}
        for index, (claim, _) in enumerate(replica.claims)
    ]
    volumes.append(scratch_volume("4Gi"))
    volumes += [{"name": name, "emptyDir": source} for name, _, source in replica.run.volumes]
    if replica.run.files:
        name = names.pool_child_name(pool.metadata.name)
        volumes.append({"name": "config", "configMap": {"name": name}})
    return volumes


def _mounts(replica: Replica) -> list[Json]:
    mounts: list[Json] = [
        {"name": f"claim-{index}", "mountPath": path, "readOnly": True}
        for index, (_, path) in enumerate(replica.claims)
    ]
    mounts.append(scratch_mount())
    mounts += [{"name": name, "mountPath": path} for name, path, _ in replica.run.volumes]
    if replica.run.files:
        mounts.append({"name": "config", "mountPath": CONFIG_PATH, "readOnly": True})
    return mounts
