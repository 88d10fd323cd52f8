"""The Gateway API's own CustomResourceDefinitions, out of its Go module."""

import json
from functools import cache
from pathlib import Path

from paddock.local.processes import run
from paddock.local.toolchain import go_command, go_environment

_MODULE = "sigs.k8s.io/gateway-api@v1.4.0"
HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"


@cache
def http_routes_crd() -> Path:
    """Return the file with the kind HTTPRoute, of the standard channel."""
    said = run(
        [go_command(), "mod", "download", "-json", _MODULE], cwd=Path("/"), env=go_environment()
    )
    folder = Path(json.loads(said)["Dir"]) / "config" / "crd" / "standard"
    return folder / "gateway.networking.k8s.io_httproutes.yaml"
