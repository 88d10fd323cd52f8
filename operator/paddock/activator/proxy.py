"""One request handed to one engine exactly once, and its answer streamed back.

I/O. Only what never reached an engine (no connection) may be tried elsewhere.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from paddock import names
from paddock.activator.answers import Answer, RefusedError
from paddock.activator.beats import Beat
from paddock.errors import PaddockError

log = logging.getLogger("paddock.activator")
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
     "transfer-encoding", "upgrade", "host", "content-length", "expect"}
)  # fmt: skip
_OK = 200
NOT_CONNECTED = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
_LONGEST_ERROR = 65_536


@dataclass(frozen=True, slots=True)
class Held:
    """A request as it is handed over: everything of it, in memory."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Begun:
    """An answer that has begun, and how it goes on until the engine's own words come."""

    stream: web.StreamResponse
    beat: Beat


class CallerGoneError(PaddockError):
    """The caller has left; nobody is to be answered."""


async def begin(begun: web.StreamResponse, request: web.Request) -> None:
    """Send the head of an answer to the caller."""
    try:
        await begun.prepare(request)
    except ConnectionError as error:
        raise CallerGoneError from error


async def send(begun: web.StreamResponse, chunk: bytes) -> None:
    """Send a part of an answer to the caller."""
    try:
        await begun.write(chunk)
    except ConnectionError as error:
        raise CallerGoneError from error


def headers_to_engine(request: web.Request) -> Mapping[str, str]:
    """Return the caller's headers without those of this connection and of the gateway."""
    left_out = _HOP_BY_HOP | {names.POOL_HEADER}
    return CIMultiDict((key, value) for key, value in request.headers.items()
                       if key.lower() not in left_out)  # fmt: skip


async def ask(engines: aiohttp.ClientSession, address: str, held: Held) -> aiohttp.ClientResponse:
    """Send the request to an engine and return its answer, of which the head has come.

    Raises one of NOT_CONNECTED when nothing was sent.
    """
    url = URL(f"http://{address}{held.path}", encoded=True)
    try:
        return await engines.request(
            held.method, url, headers=held.headers, data=held.body or None, allow_redirects=False
        )
    except NOT_CONNECTED:
        raise
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _broken_off() from error


async def hand_back(
    answer: aiohttp.ClientResponse, request: web.Request, begun: Begun | None
) -> web.StreamResponse:
    """Send an engine's answer to the caller, whose own may have begun."""
    try:
        async with answer:
            if begun is None:
                stream = await _begin(request, answer)
            elif answer.status != _OK or answer.content_type != begun.beat.content_type:
                said = await answer.content.read(_LONGEST_ERROR)
                await send(begun.stream, begun.beat.error(said))
                return begun.stream
            else:
                stream = begun.stream
            await _stream(answer, stream, request)
            return stream
    except (aiohttp.ClientError, TimeoutError) as error:
        raise _broken_off() from error


def _broken_off() -> RefusedError:
    message = "The engine ended the connection before it answered."
    return RefusedError(Answer(502, "engine_failed", message))


async def _begin(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    begun = web.StreamResponse(status=answer.status, reason=answer.reason)
    for key, value in answer.headers.items():
        if key.lower() not in _HOP_BY_HOP:
            begun.headers.add(key, value)
    length = answer.headers.get("Content-Length")
    if length is not None and length.isdigit():
        begun.content_length = int(length)
    await begin(begun, request)
    return begun


async def _stream(
    answer: aiohttp.ClientResponse, begun: web.StreamResponse, request: web.Request
) -> None:
    """Pass the answer on as it comes; one that breaks off is seen to break off."""
    try:
        async for chunk in answer.content.iter_any():
            await send(begun, chunk)
        await begun.write_eof()
    except (aiohttp.ClientPayloadError, TimeoutError) as error:
        log.warning("an engine broke off its answer: %s", type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
