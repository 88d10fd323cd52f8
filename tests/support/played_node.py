"""A node played by writing statuses: pulls end well; engines and gateways answer on loopback."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self

from aiohttp import web

from paddock import names
from paddock.clock import SystemClock, rfc3339
from paddock.errors import ApiError
from paddock.kinds import CONFIG_MAPS, PODS
from paddock.kube.real import RealCluster
from paddock.plan.gateway.bootstrap import CLUSTERS_FILE, STATE_PATH
from support.objects import DIGEST, result_text

Handler = Callable[[web.Request], Awaitable[web.Response]]
_POLL, _BEAT = 0.1, 10.0
_VOLUMES = "/api/v1/persistentvolumes"
_MERGE = "application/strategic-merge-patch+json"
_MOMENT = "2026-11-21T00:00:00Z"


class PlayedNode:
    """Plays the node, its volume for the claim, and the pods of one namespace until it is stopped.

    The real scheduler places the pods; the node says now and then that it is well. Each step of a
    pod's start takes `step` seconds: its images, and the first token of its engine.
    """

    def __init__(
        self, cluster: RealCluster, namespace: str, claim: str, *, step: float = 0.0
    ) -> None:
        self._cluster, self._namespace, self._claim = cluster, namespace, claim
        self._step, self._placed = step, dict[str, float]()
        self.name = f"played-{namespace}"
        self.address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250)}.9"
        self._task: asyncio.Task[None] | None = None
        self._servers: list[web.AppRunner] = []

    async def __aenter__(self) -> Self:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name}}
        await self._send("POST", "/api/v1/nodes", node)
        await self._send("POST", _VOLUMES, _volume(self.name, self._namespace, self._claim))
        self._servers = [
            await serve_engine(self.address, self._step),
            await self._serve_gateway(),
        ]
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self._send("DELETE", f"/api/v1/nodes/{self.name}", {})
        await self._send("DELETE", f"{_VOLUMES}/{self.name}", {})
        # Last: who was killed amid its connecting has been accepted meanwhile. What asyncio accepts
        # as a server closes it leaves open.
        for server in self._servers:
            await server.cleanup()

    async def _run(self) -> None:
        beat = 0.0
        while True:
            with contextlib.suppress(ApiError):
                if time.monotonic() - beat > _BEAT:
                    beat = time.monotonic()
                    await self._send(
                        "PATCH", f"/api/v1/nodes/{self.name}/status", {"status": _well()}, _MERGE
                    )
                for pod in await self._cluster.list(PODS, self._namespace):
                    await self._play(pod)
            await asyncio.sleep(_POLL)

    async def _play(self, pod: Any) -> None:
        path = f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}"
        if "deletionTimestamp" in pod["metadata"]:
            await self._send("DELETE", path, {"gracePeriodSeconds": 0})
        elif pod["status"].get("phase") == "Pending" and "nodeName" in pod["spec"]:
            placed = self._placed.setdefault(path, time.monotonic())
            if time.monotonic() - placed < self._step:
                return
            name = pod["spec"]["containers"][0]["name"]
            status = _ended() if name == "pull" else _serving(name, self.address)
            await self._send("PATCH", f"{path}/status", {"status": status}, _MERGE)

    async def _serve_gateway(self) -> web.AppRunner:
        """Say of an Envoy's files, as one does that took them at once and found every pod."""

        async def state(_: web.Request) -> web.Response:
            written: Any = await self._cluster.get(CONFIG_MAPS, self._namespace, names.GATEWAY)
            clusters = json.loads(written["data"][CLUSTERS_FILE])
            stats = [
                {"name": "cluster_manager.cds.version_text", "value": clusters["version_info"]},
                *(
                    {"name": f"cluster.{each['name']}.membership_healthy", "value": 1}
                    for each in clusters["resources"]
                ),
            ]
            return web.json_response({"stats": stats})

        return await _listening(
            self.address, names.GATEWAY_STATUS_PORT, {("GET", STATE_PATH): state}
        )

    async def _send(
        self, method: str, path: str, body: Any, content_type: str = "application/json"
    ) -> None:
        await self._cluster._send(method, path, body, content_type)  # noqa: SLF001 - the node's own request


def _well() -> Any:
    now = rfc3339(SystemClock().now())
    ready = {"type": "Ready", "status": "True", "reason": "Played", "lastHeartbeatTime": now}
    room = {"cpu": "64", "memory": "256Gi", "pods": "200", "ephemeral-storage": "1Ti"}
    return {"conditions": [ready], "capacity": room, "allocatable": room}


def _volume(name: str, namespace: str, claim: str) -> Any:
    """Return a volume that only this claim may have."""
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": "1Ti"},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": namespace, "name": claim},
            "hostPath": {"path": "/nowhere"},
        },
    }


def _ended() -> Any:
    ended = {
        "exitCode": 0,
        "message": result_text(),
        "finishedAt": _MOMENT,
        "startedAt": _MOMENT,
    }
    return {
        "phase": "Succeeded",
        "containerStatuses": [_container("pull", {"terminated": ended}, ready=False)],
    }


def _serving(name: str, address: str) -> Any:
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": _MOMENT}
        for kind in ("PodScheduled", "Initialized", "ContainersReady", "Ready")
    ]
    running = {"running": {"startedAt": _MOMENT}}
    return {
        "phase": "Running",
        "conditions": conditions,
        "podIP": address,
        "podIPs": [{"ip": address}],
        "containerStatuses": [_container(name, running, ready=True)],
    }


def _container(name: str, state: Any, *, ready: bool) -> Any:
    return {
        "name": name,
        "image": "i",
        "imageID": "",
        "ready": ready,
        "started": ready,
        "restartCount": 0,
        "state": state,
    }


async def serve_engine(address: str, seconds: float = 0.0) -> web.AppRunner:
    """Serve one model as llama-server does, from the digest that the played pull left.

    A token takes so many seconds.
    """
    blob = f"{names.STORE_PATH}/blobs/{DIGEST.replace(':', '-')}"
    answers: dict[tuple[str, str], Any] = {
        ("GET", "/props"): {"build_info": "played", "model_path": blob},
        ("GET", "/v1/models"): {"data": [{"id": "tiny"}]},
        ("POST", "/v1/completions"): {"choices": [{"text": "."}]},
    }
    handlers = {
        place: _answering(answer, seconds if "POST" in place else 0.0)
        for place, answer in answers.items()
    }
    return await _listening(address, names.ENGINE_PORT, handlers)


async def _listening(
    address: str, port: int, handlers: Mapping[tuple[str, str], Handler]
) -> web.AppRunner:
    app = web.Application()
    for (method, path), handler in handlers.items():
        app.router.add_route(method, path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, address, port).start()
    return runner


def _answering(answer: Any, seconds: float) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.sleep(seconds)
        response = web.json_response(answer)
        response.force_close()  # whoever asks may be killed: no connection outlives its answer
        return response

    return handler
