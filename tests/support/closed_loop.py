"""Callers on plain sockets who take little CPU themselves: each asks again once it was answered."""

import re
import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field

PATIENCE = 60.0
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_SENT_AT = re.compile(rb'"at":(\d+)')
_END_OF_HEAD, _END_OF_CHUNKS = b"\r\n\r\n", b"0\r\n\r\n"


@dataclass(slots=True)
class _Caller:
    connection: socket.socket
    request: bytes
    left: int
    began: float = 0.0
    sent: int = 0
    heard: bytearray = field(default_factory=bytearray)
    seen: int = 0


@dataclass(frozen=True, slots=True)
class Heard:
    """What callers have seen: seconds of each answer or token, and each answer's status."""

    seconds: Sequence[float]
    statuses: Sequence[int]


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return the bytes of a request."""
    lines = [f"POST {path} HTTP/1.1", "Host: gateway", "Content-Type: application/json",
             f"Content-Length: {len(body)}", *headers]  # fmt: skip
    return "\r\n".join([*lines, "", ""]).encode() + body


def ask(port: int, request: bytes, count: int, callers: int = 1) -> Heard:
    """Ask so often, from so many connections at once, each of which is kept."""
    seconds: list[float] = []
    statuses: list[int] = []
    with ExitStack() as held, selectors.DefaultSelector() as selector:
        for number in range(callers):
            share = (count + number) // callers
            _begin(_caller(held, port, request, share), selector)
        while selector.get_map():
            for key, mask in _ready(selector):
                caller: _Caller = key.data
                if mask & selectors.EVENT_WRITE:
                    _send(caller, selector)
                if mask & selectors.EVENT_READ and (status := _read_whole(caller)):
                    seconds.append(time.monotonic() - caller.began)
                    statuses.append(status)
                    _again(caller, selector)
    return Heard(seconds, statuses)


def listen(port: int, request: bytes, callers: int, apart: float) -> Heard:
    """Ask for so many streams, one after each `apart` seconds, and time each token's way."""
    seconds: list[float] = []
    statuses: list[int] = []
    with ExitStack() as held, selectors.DefaultSelector() as selector:
        began, made = time.monotonic(), 0
        while made < callers or selector.get_map():
            while made < callers and time.monotonic() >= began + made * apart:
                _begin(_caller(held, port, request, 1), selector)
                made += 1
            for key, mask in selector.select(apart if made < callers else PATIENCE):
                caller: _Caller = key.data
                if mask & selectors.EVENT_WRITE:
                    _send(caller, selector)
                if mask & selectors.EVENT_READ and (status := _read_events(caller, seconds)):
                    statuses.append(status)
                    selector.unregister(caller.connection)
    return Heard(seconds, statuses)


def _caller(held: ExitStack, port: int, request: bytes, count: int) -> _Caller:
    connection = held.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)  # noqa: FBT003 - the library's parameter
    return _Caller(connection, request, count)


def _ready(selector: selectors.BaseSelector) -> list[tuple[selectors.SelectorKey, int]]:
    ready = selector.select(PATIENCE)
    assert ready, "nobody was answered"
    return ready


def _begin(caller: _Caller, selector: selectors.BaseSelector) -> None:
    selector.register(caller.connection, selectors.EVENT_READ, caller)
    caller.began = time.monotonic()
    _send(caller, selector)


def _again(caller: _Caller, selector: selectors.BaseSelector) -> None:
    caller.left -= 1
    if caller.left <= 0:
        selector.unregister(caller.connection)
        return
    caller.sent, caller.heard, caller.began = 0, bytearray(), time.monotonic()
    _send(caller, selector)


def _send(caller: _Caller, selector: selectors.BaseSelector) -> None:
    with suppress(BlockingIOError):
        caller.sent += caller.connection.send(memoryview(caller.request)[caller.sent :])
    whole = caller.sent == len(caller.request)
    wanted = selectors.EVENT_READ if whole else selectors.EVENT_READ | selectors.EVENT_WRITE
    selector.modify(caller.connection, wanted, caller)


def _heard(caller: _Caller) -> bytearray:
    piece = caller.connection.recv(1 << 16)
    assert piece, "the other side hung up"
    caller.heard += piece
    return caller.heard


def _read_whole(caller: _Caller) -> int | None:
    """Return the status once the answer has come to its end."""
    heard = _heard(caller)
    head = heard.find(_END_OF_HEAD)
    if head < 0:
        return None
    length = _LENGTH.search(heard, 0, head + 2)
    if length is None:
        done = heard.endswith(_END_OF_CHUNKS)
    else:
        done = len(heard) >= head + len(_END_OF_HEAD) + int(length[1])
    return int(heard[9:12]) if done else None


def _read_events(caller: _Caller, seconds: list[float]) -> int | None:
    """Note how long each new token was on its way; return the status at the stream's end."""
    heard = _heard(caller)
    now = time.monotonic_ns()
    last = heard.rfind(b"}\n\n")
    new = _SENT_AT.finditer(heard, caller.seen, max(last, caller.seen))
    seconds.extend((now - int(sent[1])) / 1e9 for sent in new)
    caller.seen = max(last, caller.seen)
    return int(heard[9:12]) if heard.endswith(_END_OF_CHUNKS) else None
