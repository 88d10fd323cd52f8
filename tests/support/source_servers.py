"""Real servers of models on loopback, built from their Go modules into the cache.

The registry is CNCF Distribution, the reference of the OCI protocol; the object store is Versity's
S3 gateway over a folder, which checks every signature.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from paddock.local.builds import Component, ensure_all
from paddock.local.progress import Lines
from support.ports import free_port
from support.started import started

ACCESS_KEY, SECRET_KEY = "paddock-test", "a-secret-canary"
REGISTRY = Component(
    name="registry",
    module="github.com/distribution/distribution/v3",
    version="v3.1.2",
    commands=("cmd/registry",),
    expected=80,
)
OBJECT_STORE = Component(
    name="versitygw",
    module="github.com/versity/versitygw",
    version="v1.8.0",
    commands=("cmd/versitygw",),
    expected=160,
)
_CONFIGURATION = """version: 0.1
log: {{level: error}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""


@contextmanager
def serving_registry(folder: Path) -> Iterator[str]:
    """Serve an empty registry; yield its address."""
    address = f"127.0.0.1:{free_port()}"
    configuration = folder / "registry.yaml"
    configuration.write_text(_CONFIGURATION.format(folder=folder / "registry", address=address))
    command = [_program(REGISTRY), "serve", configuration]
    environment = {**os.environ, "OTEL_TRACES_EXPORTER": "none"}
    log = folder / "registry.log"
    with started(command, log, f"http://{address}/", environment=environment):
        yield address


@contextmanager
def serving_object_store(folder: Path) -> Iterator[str]:
    """Serve an empty object store; yield its address."""
    address = f"127.0.0.1:{free_port()}"
    (objects := folder / "objects").mkdir()
    environment = {**os.environ, "ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    (told := folder / "told").mkdir()
    command = [
        _program(OBJECT_STORE), "--port", address, "--quiet",
        "posix", "--sidecar", told, objects,
    ]  # fmt: skip
    url, log = f"http://{address}/", folder / "object-store.log"
    with started(command, log, url, environment=environment, any_answer=True):
        yield address


def _program(component: Component) -> Path:
    return ensure_all([component], Lines())[component.name] / component.name


def push_blob(registry: str, repository: str, digest: str, content: bytes) -> None:
    """Push a blob as the protocol says: open an upload, then put it whole."""
    opened = httpx.post(f"http://{registry}/v2/{repository}/blobs/uploads/")
    opened.raise_for_status()
    put = httpx.put(
        httpx.URL(opened.headers["Location"]).copy_merge_params({"digest": digest}),
        content=content,
        headers={"Content-Type": "application/octet-stream"},
    )
    put.raise_for_status()


def push_manifest(registry: str, repository: str, reference: str, content: bytes, kind: str) -> str:
    """Push a manifest and return its digest, as the registry tells it."""
    put = httpx.put(
        f"http://{registry}/v2/{repository}/manifests/{reference}",
        content=content,
        headers={"Content-Type": kind},
    )
    put.raise_for_status()
    return str(put.headers["Docker-Content-Digest"])
