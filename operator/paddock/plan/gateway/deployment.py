"""The Deployment of a gateway: stock Envoy over the ConfigMap's files. Pure.

Its pods restart only when the bootstrap, the image or the pod itself changes; clusters, listeners
and routes are read while it runs.
"""

import json

from paddock import names
from paddock.plan.gateway.bootstrap import STATE_PATH
from paddock.plan.gateway.certificate import certificate_mount, certificate_volume
from paddock.plan.gateway.draining import DRAIN_PATH, MOST_SECONDS
from paddock.plan.gateway.objects import gateway_labels, gateway_selector
from paddock.plan.gateway.rendering import BOOTSTRAP_FILE, Rendering
from paddock.plan.gateway.routes import READY_PATH
from paddock.plan.pod import container_security_context, pod_security_context
from paddock.wire import Json, Manifest

_CONCURRENCY = "2"
_MEMORY_LIMIT = "512Mi"
_RESOURCE = (
    f"service.name={names.GATEWAY},service.instance.id=$(POD),k8s.namespace.name={{namespace}}"
)
"""What the signals of one Envoy say of where they come from."""
_GRACE_SECONDS = MOST_SECONDS + 30
_START_SECONDS, _START_TRIES = 2, 900
"""An Envoy whose certificate is of no use is left to wait for another: it takes that by itself."""


def build_gateway_deployment(
    metadata: dict[str, Json],
    rendering: Rendering,
    image: str,
    replicas: int = 1,
    secret: str | None = None,
) -> Manifest:
    """Build the Deployment; `secret` holds the certificate, where TLS is served."""
    namespace = str(metadata["namespace"])
    pod = _pod(namespace, image, secret)
    revision = names.short_hash(json.dumps([pod, rendering.bootstrap], sort_keys=True))
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": 2,
            "selector": {"matchLabels": gateway_selector()},
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0},
            },
            "template": {
                "metadata": {
                    "labels": gateway_labels(namespace),
                    "annotations": {names.REVISION_ANNOTATION: revision},
                },
                "spec": pod,
            },
        },
    }


def _pod(namespace: str, image: str, secret: str | None) -> dict[str, Json]:
    config: Json = {"name": "config", "configMap": {"name": names.GATEWAY}}
    return {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": _GRACE_SECONDS,
        "securityContext": pod_security_context(),
        "containers": [_container(namespace, image, secured=secret is not None)],
        "volumes": [config, *([certificate_volume(secret)] if secret is not None else ())],
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": gateway_selector()},
            }
        ],
    }


def _container(namespace: str, image: str, *, secured: bool) -> Json:
    ready: dict[str, Json] = {
        "httpGet": {"path": READY_PATH, "port": names.GATEWAY_PORT},
        "timeoutSeconds": 3,
    }
    alive: dict[str, Json] = {
        "httpGet": {"path": STATE_PATH, "port": names.GATEWAY_STATUS_PORT},
        "timeoutSeconds": 3,
    }
    config: Json = {"name": "config", "mountPath": names.GATEWAY_CONFIG_PATH, "readOnly": True}
    return {
        "name": names.GATEWAY_COMPONENT,
        "image": image,
        "args": ["-c", f"{names.GATEWAY_CONFIG_PATH}/{BOOTSTRAP_FILE}", "--disable-hot-restart",
                 "--concurrency", _CONCURRENCY, "-l", "warning"],
        "env": [
            {"name": "POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "OTEL_RESOURCE_ATTRIBUTES", "value": _RESOURCE.format(namespace=namespace)},
        ],
        "ports": [
            {"name": "http", "containerPort": names.GATEWAY_PORT},
            {"name": "status", "containerPort": names.GATEWAY_STATUS_PORT},
            *([{"name": "https", "containerPort": names.GATEWAY_TLS_PORT}] if secured else ()),
        ],
        "resources": {
            "requests": {"cpu": "100m", "memory": "128Mi"},
            "limits": {"memory": _MEMORY_LIMIT},
        },
        "securityContext": container_security_context(),
        "volumeMounts": [config, *([certificate_mount()] if secured else ())],
        **({"startupProbe": _serves_tls()} if secured else {}),
        "readinessProbe": {**ready, "periodSeconds": 2, "failureThreshold": 2},
        "livenessProbe": {**alive, "periodSeconds": 10, "failureThreshold": 6},
        "lifecycle": {
            "preStop": {"httpGet": {"path": DRAIN_PATH, "port": names.GATEWAY_DRAIN_PORT}},
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }  # fmt: skip


def _serves_tls() -> Json:
    """Let an Envoy take the place of another only when its certificate is served."""
    return {
        "httpGet": {"path": READY_PATH, "port": names.GATEWAY_TLS_PORT, "scheme": "HTTPS"},
        "timeoutSeconds": 3,
        "periodSeconds": _START_SECONDS,
        "failureThreshold": _START_TRIES,
    }
