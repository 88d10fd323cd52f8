"""Real servers of models on loopback, built from their Go modules into the cache.

The registry is CNCF Distribution, the reference of the OCI protocol; the object store is Versity's
S3 gateway over a folder, which checks every signature.
"""

import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from paddock.local.builds import Component, ensure_all
from paddock.local.progress import Lines

START_SECONDS = 30.0
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


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def _running(
    component: Component, arguments: Sequence[str], address: str, environment: Mapping[str, str]
) -> Iterator[str]:
    folder = ensure_all([component], Lines())[component.name]
    process = subprocess.Popen(
        [folder / component.name, *arguments],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(address, process)
        yield address
    finally:
        process.terminate()
        process.wait(START_SECONDS)


def _wait_for(address: str, process: subprocess.Popen[bytes]) -> None:
    host, _, port = address.partition(":")
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            socket.create_connection((host, int(port)), 1.0).close()
        except OSError:
            assert process.poll() is None, "the server ended"
            assert time.monotonic() < deadline, "the server does not listen"
            time.sleep(0.02)
        else:
            return


@contextmanager
def serving_registry(folder: Path) -> Iterator[str]:
    """Serve an empty registry; yield its address."""
    address = _free_address()
    configuration = folder / "registry.yaml"
    configuration.write_text(_CONFIGURATION.format(folder=folder / "registry", address=address))
    with _running(
        REGISTRY, ["serve", str(configuration)], address, {"OTEL_TRACES_EXPORTER": "none"}
    ):
        yield address


@contextmanager
def serving_object_store(folder: Path) -> Iterator[str]:
    """Serve an empty object store; yield its address."""
    address = _free_address()
    (objects := folder / "objects").mkdir()
    keys = {"ROOT_ACCESS_KEY": ACCESS_KEY, "ROOT_SECRET_KEY": SECRET_KEY}
    (told := folder / "told").mkdir()
    arguments = ["--port", address, "--quiet", "posix", "--sidecar", str(told), str(objects)]
    with _running(OBJECT_STORE, arguments, address, keys):
        yield address


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
