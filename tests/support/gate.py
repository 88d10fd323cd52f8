"""A gate between the operator and a real apiserver: it numbers requests and injects faults.

Plain HTTP towards the operator, the administrator's certificate towards the apiserver. A rule looks
at each request and may answer it, lose its answer, or delay it; watches stream through.
"""

import asyncio
import contextlib
import json
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from paddock.local.control_plane import ControlPlane

MUTATING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_TIMES = re.compile(rb"\d{4}-\d\d-\d\dT[0-9:.]+Z")


@dataclass(frozen=True)
class Request:
    """One request of the operator; `number` counts its mutating requests, leases left out."""

    method: str
    path: str
    query: str
    number: int
    client: str = ""
    """The bearer token, which tells several operators apart."""
    at: float = 0.0
    body: bytes = b""

    @property
    def is_write(self) -> bool:
        return self.method in MUTATING and "/leases" not in self.path

    @property
    def is_watch(self) -> bool:
        return "watch=true" in self.query

    @property
    def is_list(self) -> bool:
        return self.method == "GET" and "limit=" in self.query and not self.is_watch

    @property
    def deed(self) -> str:
        """Return what the request would do, the same each time it is tried."""
        return f"{self.method} {self.path} {_TIMES.sub(b'', self.body).decode()}"


@dataclass(frozen=True)
class Verdict:
    """What the gate does: wait, answer itself, or forward and lose the answer, or call somebody."""

    status: int | None = None
    retry_after: int | None = None
    delay: float = 0.0
    lose_answer: bool = False
    before: Callable[[], None] = lambda: None
    after: Callable[[], None] = lambda: None


PASS = Verdict()
Rule = Callable[[Request], Verdict]


@dataclass
class Gate:
    """One running gate; change `rule` at any time."""

    plane: ControlPlane
    rule: Rule = lambda _request: PASS
    requests: list[Request] = field(default_factory=list)
    port: int = 0
    frozen: bool = False
    """Watches stay open and deliver nothing."""
    _watches: list["Watch"] = field(default_factory=list)
    _runner: web.AppRunner | None = None
    _site: web.TCPSite | None = None
    _session: aiohttp.ClientSession | None = None

    @property
    def writes(self) -> list[Request]:
        return [request for request in self.requests if request.is_write]

    @property
    def watched(self) -> set[str]:
        """Return the paths of the watches that are open."""
        return {watch.path for watch in self._watches}

    def kubeconfig(self, folder: Path) -> Path:
        """Write a kubeconfig that leads to the gate."""
        file = folder / "gate.kubeconfig"
        cluster = {"name": "g", "cluster": {"server": f"http://127.0.0.1:{self.port}"}}
        context = {"name": "g", "context": {"cluster": "g", "user": "g"}}
        user = {"name": "g", "user": {"token": "unused"}}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [cluster],
            "users": [user],
            "contexts": [context],
            "current-context": "g",
        }
        file.write_text(json.dumps(config))
        return file

    async def start(self) -> None:
        pki = self.plane.folder / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=context, limit=0), read_bufsize=2**21
        )
        app = web.Application(client_max_size=2**24)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await self.open()

    async def open(self) -> None:
        """Accept connections, at the same port as before."""
        assert self._runner
        self._site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Refuse connections and cut those there are, as the port of a dead apiserver does."""
        assert self._runner
        assert self._site
        await self._site.stop()
        assert self._runner.server
        for connection in self._runner.server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    async def stop(self) -> None:
        assert self._runner
        assert self._session
        await self._runner.cleanup()
        await self._session.close()

    async def _handle(self, incoming: web.Request) -> web.StreamResponse:
        is_write = incoming.method in MUTATING and "/leases" not in incoming.path
        number = len(self.writes) + int(is_write)
        client = incoming.headers.get("Authorization", "").partition(" ")[2]
        request = Request(
            incoming.method,
            incoming.path,
            incoming.query_string,
            number,
            client,
            time.monotonic(),
            await incoming.read(),
        )
        self.requests.append(request)
        verdict = self.rule(request)
        verdict.before()
        await asyncio.sleep(verdict.delay)
        if verdict.status is not None:
            return _refused(verdict)
        return await self._forward(incoming, verdict)

    async def _forward(self, incoming: web.Request, verdict: Verdict) -> web.StreamResponse:
        assert self._session
        headers = {key: value for key, value in incoming.headers.items()
                   if key.lower() not in ("host", "authorization", "content-length")}  # fmt: skip
        request = self._session.request(
            incoming.method,
            f"{self.plane.server}{incoming.path_qs}",
            headers=headers,
            data=await incoming.read() or None,
            timeout=aiohttp.ClientTimeout(total=None, sock_read=None),
        )
        async with request as answer:
            if "watch=true" in incoming.query_string and answer.status < 400:
                return await self._stream(incoming, answer)
            body = await answer.read()
        verdict.after()
        if verdict.lose_answer:
            assert incoming.transport
            incoming.transport.abort()
        return web.Response(status=answer.status, body=body, content_type=answer.content_type)

    async def _stream(
        self, incoming: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        outgoing = web.StreamResponse(
            status=answer.status, headers={"Content-Type": "application/json"}
        )
        await outgoing.prepare(incoming)
        watch = Watch(incoming.path, outgoing)
        self._watches.append(watch)
        passing = asyncio.create_task(self._pass(answer, outgoing))
        ended = asyncio.create_task(watch.ended.wait())
        try:
            await asyncio.wait({passing, ended}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._watches = [other for other in self._watches if other is not watch]
            for task in (passing, ended):
                task.cancel()
        return outgoing

    async def _pass(self, answer: aiohttp.ClientResponse, outgoing: web.StreamResponse) -> None:
        with contextlib.suppress(ConnectionError, aiohttp.ClientError):
            async for line in answer.content:
                if not self.frozen:
                    await outgoing.write(line)

    async def inject(self, content: bytes, kind: str = "") -> int:
        """Write into the open watches of a kind, then end them; return how many they were.

        They count as open no more, so whoever waits for watches waits for the next ones: between
        the end of one and the next there may be too little time to be seen by looking.
        """
        chosen = [watch for watch in self._watches if kind in watch.path]
        self._watches = [watch for watch in self._watches if watch not in chosen]
        for watch in chosen:
            with contextlib.suppress(ConnectionError):
                await watch.outgoing.write(content)
            watch.ended.set()
        return len(chosen)


@dataclass(frozen=True)
class Watch:
    """One stream that passes through the gate."""

    path: str
    outgoing: web.StreamResponse
    ended: asyncio.Event = field(default_factory=asyncio.Event)


def _refused(verdict: Verdict) -> web.Response:
    status = verdict.status or 0
    reason = {"kind": "Status", "message": "The gate refuses it.", "code": status}
    after = {} if verdict.retry_after is None else {"Retry-After": str(verdict.retry_after)}
    return web.json_response(reason, status=status, headers=after)
