"""A pool's own Collector: one small pod that brings the engines' metrics to the user's receiver.

Pure. A change of its configuration rolls the pod; a change of its targets does not.
"""

from urllib.parse import urlsplit

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool, Otlp
from paddock.facts import PoolFacts
from paddock.plan.deployment import selector as engine_selector
from paddock.plan.engines.profile import PooledModel
from paddock.plan.owner import child_labels, owner_references
from paddock.plan.pod import container_security_context, pod_security_context
from paddock.plan.telemetry.collector_config import (
    CONFIG,
    FOLDER,
    SCRAPED_ENGINES,
    TARGETS,
    build_config,
    build_targets,
)
from paddock.settings import Settings
from paddock.wire import Json, Manifest

IMAGE = "docker.io/otel/opentelemetry-collector-contrib:0.160.0"
_MEMORY, _GO_MEMORY = "256Mi", "200MiB"
_QUEUE = 64
"""Batches that wait for a receiver that is away; older ones are given up."""
_USUAL_PORTS = {"http": 80, "https": 443}


def build_collector(
    facts: PoolFacts, models: tuple[PooledModel, ...], settings: Settings
) -> tuple[Manifest, ...]:
    """Return the Collector's objects, where the pool asks for one and its engine has metrics."""
    pool = facts.pool
    if pool.spec.telemetry is None or not is_collected(pool):
        return ()
    otlp = pool.spec.telemetry.otlp
    config = build_config(exporter_of(otlp), own_port=names.COLLECTOR_PORT)
    files: dict[str, Json] = {CONFIG: config, TARGETS: build_targets(pool, models, facts.pods)}
    return (
        _object(pool, "v1", "ConfigMap", {"data": files}),
        _object(pool, "apps/v1", "Deployment", {"spec": _deployment_spec(pool, config, settings)}),
        _object(
            pool,
            "networking.k8s.io/v1",
            "NetworkPolicy",
            {"spec": _network_policy(pool, port_of(otlp), settings.operator_namespace)},
        ),
    )


def is_collected(pool: InferencePool) -> bool:
    """Return whether a Collector of the pool's own asks its engines."""
    return pool.spec.telemetry is not None and pool.spec.engine.name in SCRAPED_ENGINES


def exporter_of(otlp: Otlp) -> dict[str, Json]:
    """Return the Collector's exporter to a receiver, with a bounded queue."""
    bounds: dict[str, Json] = {
        "timeout": "10s",
        "sending_queue": {"queue_size": _QUEUE},
        "retry_on_failure": {"max_elapsed_time": "300s"},
    }
    if otlp.protocol != "grpc":
        return {"otlphttp": {"endpoint": otlp.endpoint.rstrip("/"), **bounds}}
    url = urlsplit(otlp.endpoint)
    plain = url.scheme == "http"
    address = f"{url.hostname}:{port_of(otlp)}"
    return {"otlp": {"endpoint": address, "tls": {"insecure": plain}, **bounds}}


def port_of(otlp: Otlp) -> int:
    """Return the port a receiver listens on."""
    url = urlsplit(otlp.endpoint)
    return url.port or _USUAL_PORTS[url.scheme]


def collector_selector(pool: InferencePool) -> dict[str, Json]:
    """Return the labels that pick the Collector's pod."""
    return {
        names.POOL_LABEL: names.fitted_name(pool.metadata.name),
        names.COMPONENT_LABEL: names.COLLECTOR,
    }


def _object(
    pool: InferencePool, api_version: str, kind: str, body: dict[str, Json]
) -> dict[str, Json]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": names.collector_name(pool.metadata.name),
            "namespace": pool.metadata.namespace,
            "labels": child_labels(pool.metadata, kinds.INFERENCE_POOLS, names.COLLECTOR),
            "ownerReferences": owner_references(pool.metadata, kinds.INFERENCE_POOLS),
        },
        **body,
    }


def _deployment_spec(pool: InferencePool, config: str, settings: Settings) -> dict[str, Json]:
    return collector_deployment_spec(
        names.collector_name(pool.metadata.name),
        config,
        settings,
        selector=collector_selector(pool),
        labels=child_labels(pool.metadata, kinds.INFERENCE_POOLS, names.COLLECTOR),
    )


def collector_deployment_spec(
    config_map: str,
    config: str,
    settings: Settings,
    *,
    selector: dict[str, Json],
    labels: dict[str, Json],
) -> dict[str, Json]:
    """Return the spec of a Collector's Deployment, which a change of the configuration rolls."""
    return {
        "replicas": 1,
        "revisionHistoryLimit": 2,
        "selector": {"matchLabels": selector},
        "template": {
            "metadata": {
                "labels": labels,
                "annotations": {names.REVISION_ANNOTATION: names.short_hash(config)},
            },
            "spec": {
                "automountServiceAccountToken": False,
                "enableServiceLinks": False,
                "securityContext": pod_security_context(),
                "containers": [_container(settings)],
                "volumes": [{"name": "config", "configMap": {"name": config_map}}],
            },
        },
    }


def _container(settings: Settings) -> dict[str, Json]:
    probe: dict[str, Json] = {
        "httpGet": {"path": "/metrics", "port": "own-metrics"},
        "timeoutSeconds": 5,
    }
    return {
        "name": names.COLLECTOR,
        "image": settings.images.collector or settings.images.mirrored(IMAGE),
        "args": [f"--config={FOLDER}/{CONFIG}"],
        "env": [{"name": "GOMEMLIMIT", "value": _GO_MEMORY}],
        "ports": [
            {"name": "own-metrics", "containerPort": names.COLLECTOR_PORT, "protocol": "TCP"}
        ],
        "readinessProbe": {**probe, "periodSeconds": 5},
        "livenessProbe": {**probe, "periodSeconds": 10, "failureThreshold": 6},
        "resources": {
            "requests": {"cpu": "20m", "memory": "96Mi"},
            "limits": {"memory": _MEMORY},
        },
        "securityContext": container_security_context(),
        "volumeMounts": [{"name": "config", "mountPath": FOLDER, "readOnly": True}],
    }


def _network_policy(pool: InferencePool, port: int, operator_namespace: str) -> dict[str, Json]:
    """Let in the operator's look; let out names, the pool's engines and the receiver's port."""
    operator = {"matchLabels": {"kubernetes.io/metadata.name": operator_namespace}}
    dns: list[Json] = [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]
    engines: list[Json] = [{"podSelector": {"matchLabels": engine_selector(pool)}}]
    return {
        "podSelector": {"matchLabels": collector_selector(pool)},
        "policyTypes": ["Ingress", "Egress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": operator}],
                "ports": [{"port": names.COLLECTOR_PORT, "protocol": "TCP"}],
            }
        ],
        "egress": [
            {"ports": dns},
            {"to": engines, "ports": [{"port": names.ENGINE_PORT, "protocol": "TCP"}]},
            {"ports": [{"port": port, "protocol": "TCP"}]},
        ],
    }
