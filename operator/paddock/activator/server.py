"""The activator's HTTP face: takes a request from a gateway, holds it, hands it over.

I/O. What waits costs one place and its body; a caller that leaves is cancelled and gives both back.
"""

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Coroutine
from typing import TypeVar

import aiohttp
from aiohttp import web

from paddock import names
from paddock.activator.admission import Admission, HeldBytes
from paddock.activator.answers import Answer, RefusedError
from paddock.activator.beats import Beat, beat_of
from paddock.activator.limits import Limits
from paddock.activator.peers import Peers
from paddock.activator.proxy import (
    NOT_CONNECTED,
    Begun,
    CallerGoneError,
    Held,
    ask,
    begin,
    hand_back,
    headers_to_engine,
    send,
)
from paddock.activator.targets import Target, target_of
from paddock.activator.waking import Wakes
from paddock.errors import ApiError

log = logging.getLogger("paddock.activator")
_CHUNK = 65_536
_T = TypeVar("_T")
_GONE = 499
"""Nobody reads it: the caller has left."""


class Front:
    """The handler of every request."""

    def __init__(
        self,
        *,
        limits: Limits,
        peers: Peers,
        wakes: Wakes,
        engines: aiohttp.ClientSession,
        namespace: str | None,
    ) -> None:
        self._limits, self._peers, self._wakes = limits, peers, wakes
        self._engines, self._namespace = engines, namespace
        self.admission = Admission(limits)
        self._turn = itertools.count()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        try:
            with self.admission.request(), self.admission.bytes() as counted:
                return await self._held(request, counted)
        except RefusedError as error:
            return _refusal(error.answer)
        except CallerGoneError:
            return web.Response(status=_GONE)

    async def _held(self, request: web.Request, counted: HeldBytes) -> web.StreamResponse:
        target = await self._target(request)
        held = Held(
            method=request.method,
            path=request.raw_path,
            headers=headers_to_engine(request),
            body=await self._body(request, counted),
        )
        waiting = _Waiting(request, self._limits, beat=beat_of(request.path, held.body))
        try:
            while True:
                with self.admission.place(target):
                    found = await waiting.until(self._wakes.addresses(target))
                address = found[next(self._turn) % len(found)]
                try:
                    answer = await waiting.answer(ask(self._engines, address, held))
                except NOT_CONNECTED:
                    self._wakes.forget(target)
                else:
                    return await hand_back(answer, request, waiting.begun)
        except RefusedError as error:
            if waiting.begun is None:
                raise
            await send(waiting.begun.stream, waiting.begun.beat.error(error.answer.body))
            return waiting.begun.stream

    async def _target(self, request: web.Request) -> Target:
        """Return the pool, if this caller may ask for it."""
        target = target_of(request.headers.get(names.POOL_HEADER))
        if target is None:
            message = f"The header {names.POOL_HEADER} names no pool."
            raise RefusedError(Answer(400, "no_pool", message))
        if self._namespace not in (None, target.namespace):
            raise RefusedError(Answer(403, "forbidden", "That namespace is not served here."))
        try:
            await self._peers.check(request.remote, target.namespace)
        except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
            log.warning("cannot tell who asks: %s", str(error) or type(error).__name__)
            message = "The activator cannot tell who asks; try again."
            raise RefusedError(
                Answer(503, "overloaded", message, self._limits.retry_after)
            ) from None
        return target

    async def _body(self, request: web.Request, counted: HeldBytes) -> bytes:
        """Read the body, counting each byte before the next is read."""
        parts = bytearray()
        try:
            async with asyncio.timeout(self._limits.body_seconds):
                async for chunk in request.content.iter_chunked(_CHUNK):
                    counted.take(len(chunk))
                    parts += chunk
        except TimeoutError as error:
            message = "The body did not come in time."
            raise RefusedError(Answer(408, "request_timeout", message)) from error
        return bytes(parts)


class _Waiting:
    """One caller's wait: a deadline, and heartbeats where its answer may hold them."""

    def __init__(self, request: web.Request, limits: Limits, *, beat: Beat | None) -> None:
        self._request, self._limits, self._beat = request, limits, beat
        self._deadline = time.monotonic() + limits.hold_seconds
        self.begun: Begun | None = None

    async def until(self, awaited: Coroutine[None, None, _T]) -> _T:
        """Wait for it until the deadline, telling a streaming caller now and then."""
        return await self._heard(awaited, self._deadline)

    async def answer(self, awaited: Coroutine[None, None, _T]) -> _T:
        """Wait for an engine's answer: it may have to load the model first, and says when."""
        return await self._heard(awaited, math.inf)

    async def _heard(self, awaited: Coroutine[None, None, _T], deadline: float) -> _T:
        task = asyncio.create_task(awaited)
        try:
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    message = "The pool did not start in time."
                    raise RefusedError(
                        Answer(504, "start_timeout", message, self._limits.retry_after)
                    )
                pause = min(left, self._limits.heartbeat_seconds) if self._beat else left
                done, _ = await asyncio.wait({task}, timeout=None if pause == math.inf else pause)
                if done:
                    return task.result()
                if self._beat is not None:
                    await self._tell(self._beat)
        finally:
            task.cancel()

    async def _tell(self, beat: Beat) -> None:
        if self.begun is None:
            headers = {"Content-Type": beat.content_type, "Cache-Control": "no-cache"}
            self.begun = Begun(web.StreamResponse(headers=headers), beat)
            await begin(self.begun.stream, self._request)
        await send(self.begun.stream, beat.sign)


def _refusal(answer: Answer) -> web.Response:
    return web.Response(status=answer.status, body=answer.body, headers=answer.headers)


def build_app(front: Front) -> web.Application:
    """Return the application that gateways talk to."""
    app = web.Application(client_max_size=0)
    app.router.add_route("*", "/{path:.*}", front)
    return app


def build_probes() -> web.Application:
    """Return the application that the kubelet asks: an event loop that is blocked says nothing."""

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    return app
