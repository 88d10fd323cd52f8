"""CustomResourceDefinitions of the Gateway API and its Inference Extension, out of Go modules."""

import json
from functools import cache
from pathlib import Path

from paddock.local.processes import run
from paddock.local.toolchain import go_command, go_environment

_GATEWAY_API = "sigs.k8s.io/gateway-api@v1.4.0"
_INFERENCE_EXTENSION = "sigs.k8s.io/gateway-api-inference-extension@v1.0.0"
"""The first one with version v1 of its kind."""
HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"
EXPORTED_POOLS = "inferencepools.inference.networking.k8s.io"


def http_routes_crd() -> Path:
    """Return the file with the kind HTTPRoute, of the standard channel."""
    folder = _module(_GATEWAY_API) / "config" / "crd" / "standard"
    return folder / "gateway.networking.k8s.io_httproutes.yaml"


def exported_pools_crd() -> Path:
    """Return the file with the inference extension's kind InferencePool."""
    folder = _module(_INFERENCE_EXTENSION) / "config" / "crd" / "bases"
    return folder / "inference.networking.k8s.io_inferencepools.yaml"


@cache
def _module(module: str) -> Path:
    said = run(
        [go_command(), "mod", "download", "-json", module], cwd=Path("/"), env=go_environment()
    )
    return Path(json.loads(said)["Dir"])
