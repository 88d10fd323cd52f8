"""What each value of the chart `paddock-models` does: the tables that its tests go through.

An entry of `models` or `pools` is a spec, so its effect is itself; together the entries here have
every field of it.
"""

from typing import Any

DIGEST = "sha256:" + "a" * 64
CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
MINUTE = {
    "nginx.ingress.kubernetes.io/proxy-read-timeout": "60",
    "nginx.ingress.kubernetes.io/proxy-send-timeout": "60",
    "nginx.ingress.kubernetes.io/proxy-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-body-size": "16m",
    "haproxy.org/timeout-server": "60s",
    "haproxy.org/timeout-client": "60s",
    "alb.ingress.kubernetes.io/load-balancer-attributes": "idle_timeout.timeout_seconds=60",
}
BASE: dict[str, Any] = {
    "models": [{"name": "tiny", "source": "hf://ORG/REPO"}],
    "ingress": {"enabled": True, "host": "models.example.com", "timeoutSeconds": 60},
}
"""What each line of the table is set beside."""

EFFECTS: list[tuple[str, Any, str, Any]] = [
    ("engine", "Ollama", "InferencePool.spec.engine", {"name": "Ollama"}),
    ("replicaCount", 3, "InferencePool.spec.replicas", 3),
    ("replicaCount", 0, "InferencePool.spec.replicas", 0),
    ("replicaCount", None, "InferencePool.spec.replicas", None),
    ("persistence.existingClaim", "own", "LocalModel.spec.storage", {"claimName": "own"}),
    ("persistence.size", "5Gi", "LocalModel.spec.storage", {"size": "5Gi"}),
    ("persistence.storageClass", "fast", "LocalModel.spec.storage", {"storageClassName": "fast"}),
    ("persistence.retain", "Delete", "LocalModel.spec.storage", {"retain": "Delete"}),
    ("ingress.enabled", False, "Ingress", None),
    ("ingress.host", "a.example.com", "Ingress.spec.rules.0.host", "a.example.com"),
    ("ingress.className", "nginx", "Ingress.spec.ingressClassName", "nginx"),
    ("ingress.tlsSecret", "cert", "Ingress.spec.tls",
     [{"hosts": ["models.example.com"], "secretName": "cert"}]),
    ("ingress.timeoutSeconds", 60, "Ingress.metadata.annotations", MINUTE),
    ("ingress.annotations", {"haproxy.org/timeout-client": "9s", "a": "1"},
     "Ingress.metadata.annotations", {**MINUTE, "haproxy.org/timeout-client": "9s", "a": "1"}),
    ("ingress.controllerNamespace", "", "NetworkPolicy", None),
    ("ingress.controllerNamespace", "front",
     "NetworkPolicy.spec.ingress.0.from.0.namespaceSelector.matchLabels",
     {"kubernetes.io/metadata.name": "front"}),
    ("modelAnnotations", {"a": "1"}, "LocalModel.metadata.annotations", {"a": "1"}),
    ("modelAnnotations", {"a": "1"}, "InferencePool.metadata.annotations", None),
    ("poolAnnotations", {"a": "1"}, "InferencePool.metadata.annotations", {"a": "1"}),
    ("poolAnnotations", {"a": "1"}, "LocalModel.metadata.annotations", None),
]  # fmt: skip
"""Value, what it is set to, where that shows, and as what."""

TOLERATION = {
    "key": "gpu", "operator": "Equal", "value": "yes", "effect": "NoExecute",
    "tolerationSeconds": 60,
}  # fmt: skip
MODELS: list[dict[str, Any]] = [
    {
        "name": "made",
        "source": "hf://ORG/REPO",
        "quantization": "Q4_K_M",
        "digest": DIGEST,
        "updatePolicy": "Track",
        "credentials": {"secretName": "hub"},
        "storage": {
            "size": "5Gi",
            "storageClassName": "fast",
            "accessModes": ["ReadWriteMany"],
            "retain": "Delete",
        },
        "modelfile": {
            "system": "Answer briefly.",
            "template": "{{ .Prompt }}",
            "parameters": {
                "temperature": 0.5, "topP": 0.9, "topK": 40, "minP": 0.1, "repeatPenalty": 1.5,
                "seed": 7, "numCtx": 4096, "numPredict": 128, "stop": ["END"],
            },
        },
        "pull": {
            "parallelism": 4,
            "resources": {"cpu": "1", "memory": "1Gi"},
            "nodeSelector": {"zone": "a"},
            "tolerations": [TOLERATION],
            "deadlineSeconds": 3600,
        },
    },
    {"name": "found", "source": "https://example.com/m.gguf", "storage": {"claimName": "own"}},
]  # fmt: skip
POOLS: list[dict[str, Any]] = [
    {
        "name": "whole",
        "engine": {
            "name": "VLLM",
            "image": f"r.example.com/vllm@{DIGEST}",
            "env": [{"name": "LEVEL", "value": "1"}],
            "args": ["--disable-log-stats"],
        },
        "models": [{"name": "made", "as": "m", "preload": True, "contextLength": 4096}],
        "scaling": {
            "min": 0,
            "max": 3,
            "targetInFlight": 8,
            "idle": {"unloadAfter": "5m", "zeroAfter": "10m"},
        },
        "hardware": {
            "gpus": 1,
            "resourceName": "nvidia.com/gpu",
            "sharing": "Exclusive",
            "deviceClaim": "gpu",
            "gpuTypes": ["H100"],
            "memory": "16Gi",
            "cpu": "4",
            "nodeSelector": {"zone": "a"},
            "tolerations": [TOLERATION],
            "runtimeClassName": "nvidia",
            "priorityClassName": "serving",
        },
        "serving": {
            "contextLength": 4096, "parallel": 4, "maxQueue": 16, "batchSize": 512, "threads": 8,
            "gpuLayers": 99, "flashAttention": True, "kvCacheType": "fp8", "keepAlive": "5m",
            "mmap": True, "mlock": False, "tensorParallel": 1, "gpuMemoryUtilization": 0.9,
            "draftModel": "found",
        },
        "telemetry": {
            "collector": "Managed",
            "otlp": {"endpoint": "http://otel.example.com:4318", "protocol": "http/protobuf"},
            "sampling": 10,
            "captureContent": False,
            "engineSpans": True,
        },
        "gateway": {
            "balancing": "PrefixAffinity",
            "replicas": 2,
            "tls": {"secretName": "cert"},
            "expose": {"by": "Ingress", "host": "m.example.com", "ingressClassName": "nginx"},
            "inferenceExtension": {
                "endpointPicker": {
                    "name": "picker", "port": 9002, "failureMode": "FailOpen",
                    "podLabels": {"app": "picker"},
                },
            },
            "auth": {
                "apiKeys": "Accepted",
                "serviceAccounts": ["caller"],
                "issuers": [
                    {
                        "issuer": "https://id.example.com",
                        "audiences": ["models"],
                        "jwksUri": "https://id.example.com/keys",
                        "modelsClaim": "models",
                        "identityClaim": "sub",
                        "certificateAuthority": CERTIFICATE,
                    },
                ],
            },
            "limits": {
                "bodyBytes": 65536, "requestTime": "30m", "idleTime": "5m", "inFlight": 32,
                "queue": 16, "requestsPerMinute": 60, "tokensPerMinute": 10000,
            },
            "weight": 50,
            "priority": 1,
        },
    },
    {
        "name": "plain",
        "engine": {"name": "LlamaCpp"},
        "models": [{"name": "found"}],
        "replicas": 2,
    },
]  # fmt: skip
