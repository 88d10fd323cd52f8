"""A pool at zero on a real control plane, a node of our own that starts real engines, an activator.

The node does what a kubelet does, as far as the activator can tell: a pod that is made gets the
machine's address, then a real llama-server answers there.
"""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from paddock import kinds, names
from paddock.api.localmodel import LocalModel
from paddock.kube.real import RealCluster
from paddock.local.control_plane import ControlPlane
from paddock.local.install import build_install
from paddock.plan.engines.llama_cpp import PROFILE as LLAMA_CPP
from paddock.plan.engines.profile import PooledModel, Profile
from paddock.puller.store import Store
from support.engine_servers import serving
from support.plane import kubectl
from support.ports import free_port
from support.started import started
from support.stores import add_tiny_model, pool_of

NODE = "by-hand"
MODEL = "alpha"
_POLL = 0.02
_FINE_POLL = 0.002


def own_address() -> str:
    """Return an address of this machine that is not loopback, which EndpointSlices refuse."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # nothing is sent; it chooses the source address
        return str(probe.getsockname()[0])


@dataclass
class Node:
    """Starts one engine for each pod of one pool; remembers when."""

    cluster: RealCluster
    namespace: str
    folder: Path
    port: int = field(default_factory=free_port)
    seen_at: float = 0.0
    starts_at: float = 0.0
    answers_at: float = 0.0
    model: LocalModel | None = None
    profile: Profile = LLAMA_CPP
    stalls: asyncio.Event | None = None
    """Where set, the engine is started only after this."""

    @property
    def engine_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def tokens(self) -> int:
        """Return how many tokens the engine has generated."""
        async with httpx.AsyncClient() as client:
            lines = (await client.get(f"{self.engine_url}/metrics")).text.splitlines()
        name = "llamacpp:tokens_predicted_total "
        return int(next(line for line in lines if line.startswith(name)).removeprefix(name))

    async def run(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        (place := self.folder / "store").mkdir()
        self.model = add_tiny_model(Store(place), MODEL, seed=1)
        while True:
            pods: Any = await self.cluster.list(kinds.PODS, self.namespace)
            for pod in pods:
                if not pod["status"].get("podIP") and "deletionTimestamp" not in pod["metadata"]:
                    await self._start(pod["metadata"]["name"])
            await asyncio.sleep(_POLL)

    async def _start(self, name: str) -> None:
        self.seen_at = time.monotonic()
        await self._report(name, ready=False)
        if self.stalls is not None:
            await self.stalls.wait()
        started: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        engine = asyncio.create_task(self.engine(started))
        try:
            await self._until_healthy(engine)
            await asyncio.shield(started)  # the engine says so also to who has left
            await self._report(name, ready=True)
            await engine
        finally:
            engine.cancel()
            with suppress(asyncio.CancelledError):
                await engine

    async def engine(self, started: "asyncio.Future[None]") -> None:
        """Run an engine until it is cancelled."""
        assert self.model is not None
        served = PooledModel(MODEL, self.model, names.STORE_PATH, preload=True, context_length=None)
        run = self.profile.run(pool_of(self.profile.name, MODEL), (served,))
        context = serving(
            self.profile, run, self.folder / "pod", {names.STORE_PATH: self.folder / "store"},
            port=self.port,
        )  # fmt: skip
        self.starts_at = time.monotonic()
        await asyncio.to_thread(context.__enter__)
        try:
            started.set_result(None)
            await asyncio.Event().wait()
        finally:
            context.__exit__(None, None, None)

    async def _until_healthy(self, engine: "asyncio.Task[None]") -> None:
        """Note when the engine first answers, as exactly as polling can tell."""
        async with httpx.AsyncClient() as client:
            while not engine.done():
                with suppress(httpx.TransportError):
                    url = f"http://127.0.0.1:{self.port}{self.profile.health_path}"
                    if (await client.get(url)).status_code == httpx.codes.OK:
                        self.answers_at = time.monotonic()
                        return
                await asyncio.sleep(_FINE_POLL)

    async def _report(self, name: str, *, ready: bool) -> None:
        address = own_address()
        conditions = [{"type": "Ready", "status": str(ready)}]
        status = {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}],
                  "conditions": conditions}  # fmt: skip
        path = f"/api/v1/namespaces/{self.namespace}/pods/{name}/status"
        await self.cluster._write(  # noqa: SLF001 - what a kubelet may and we never do
            "PATCH", path, {"status": status}, "application/merge-patch+json"
        )


@asynccontextmanager
async def node_of(
    cluster: RealCluster,
    namespace: str,
    folder: Path,
    profile: Profile = LLAMA_CPP,
    kind: type[Node] = Node,
) -> AsyncIterator[Node]:
    node = kind(cluster, namespace, folder, profile=profile)
    task = asyncio.create_task(node.run())
    try:
        yield node
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def make_pool(
    plane: ControlPlane, namespace: str, port: int, engine: str = "LlamaCpp", **spec: Any
) -> None:
    """Make the pool, and what the operator and its gateway would make for it."""
    labels = {"app": "chat"}
    container = {"name": "engine", "image": "none", "ports": [{"name": "http",
                                                               "containerPort": port}]}  # fmt: skip
    chat = {"name": "chat", "namespace": namespace}
    ports = [{"name": "http", "port": 80, "targetPort": "http"}]
    gateway = {"name": names.GATEWAY, "namespace": namespace}
    objects = [
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}},
        {"apiVersion": names.API_VERSION, "kind": names.INFERENCE_POOL, "metadata": chat,
         "spec": {"engine": {"name": engine}, "models": [{"name": MODEL}], **spec}},
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": chat,
         "spec": {"replicas": 0, "selector": {"matchLabels": labels},
                  "template": {"metadata": {"labels": labels},
                               "spec": {"nodeName": NODE, "containers": [container]}}}},
        {"apiVersion": "v1", "kind": "Service", "metadata": chat,
         "spec": {"selector": labels, "ports": ports}},
        {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
         "metadata": {**gateway, "labels": {"kubernetes.io/service-name": names.GATEWAY}},
         "addressType": "IPv4", "ports": [], "endpoints": [{"addresses": [own_address()]}]},
    ]  # fmt: skip
    text = "---\n".join(json.dumps(each) + "\n" for each in objects)
    kubectl(plane, "apply", "-f", "-", stdin=text)


@dataclass(frozen=True)
class Activator:
    """One running activator process."""

    url: str
    log: Path
    pid: int

    def words(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def activator(plane: ControlPlane, folder: Path, *arguments: str) -> Iterator[Activator]:
    """Run the activator with the account and the rights that it is installed with."""
    folder.mkdir(parents=True, exist_ok=True)
    system = "paddock-system"
    manifests = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": system}}]
    manifests += [each for each in map(dict[str, Any], build_install("none", ()))
                  if each["metadata"]["name"] == names.ACTIVATOR
                  and each["kind"] not in ("Deployment", "Service")]  # fmt: skip
    kubectl(plane, "apply", "-f", "-", stdin="---\n".join(json.dumps(m) + "\n" for m in manifests))
    token = folder / "token"
    token.write_text(kubectl(plane, "-n", system, "create", "token", names.ACTIVATOR))
    port, health = free_port(), free_port()
    log = folder / "activator.log"
    command = [
        sys.executable, "-m", "paddock.activator", "--server", plane.server,
        "--token-file", token, "--ca-file", plane.folder / "pki" / "ca.crt",
        "--port", str(port), "--health-port", str(health), *arguments,
    ]  # fmt: skip
    with started(command, log, f"http://127.0.0.1:{health}/healthz") as process:
        found = Activator(f"http://{own_address()}:{port}", log, process.pid)
        yield found
    assert "Traceback" not in found.words()


def scale_ups(plane: ControlPlane, namespace: str) -> int:
    """Return how often the activator wrote a scale in this namespace."""
    return len(
        [
            record
            for record in plane.audit()
            if record.user == f"system:serviceaccount:paddock-system:{names.ACTIVATOR}"
            and record.namespace == namespace
            and (record.verb, record.subresource) == ("patch", "scale")
        ]
    )


TOKENS = 4
CHAT = {"model": MODEL, "max_tokens": TOKENS, "messages": [{"role": "user", "content": "hello"}]}


def headers_of(namespace: str, name: str = "chat") -> dict[str, str]:
    return {names.POOL_HEADER: f"{namespace}/{name}"}
