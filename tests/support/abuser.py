"""A caller who means ill, as a process of its own: `PORT KIND`; says `ready`, then goes on.

`idle` holds 10,000 connections; `headers` and `body` send a little of 500 requests each second, and
begin anew where they are ended; `fill` holds 40 bodies of 15 MB that do not come to their end; the
others send what is refused, or as large as may be, in turns.
"""

import resource
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

IDLE, SLOW, FULL = 10_000, 500, 40
_HEAD = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
_LARGEST = 16 * 1024 * 1024
SLOWLY = {
    "idle": (IDLE, b"", b""),
    "headers": (SLOW, _HEAD, b"X-Slow: 1\r\n"),
    "body": (SLOW, _HEAD + b"Content-Length: 100000\r\n\r\n", b" "),
    "fill": (
        FULL, _HEAD + b'Content-Length: %d\r\n\r\n{"a":"%s' % (_LARGEST, b"x" * 15_000_000), b"x",
    ),
}  # fmt: skip
ALL_AT_ONCE = {
    "flood": (50, b"".join(b"X-%d: 1\r\n" % number for number in range(200)) + b"\r\n"),
    "deep": (10, b"Content-Length: 1000000\r\n\r\n" + b"[" * 1_000_000),
    "largest": (1, b"Content-Length: %d\r\n\r\n[" % _LARGEST + b"1," * (_LARGEST // 2)),
}
"""How often in a second, and what follows the first lines."""


def connected(port: int, sent: bytes) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=60)
    connection.sendall(sent)
    connection.setblocking(False)  # noqa: FBT003 - the library's parameter
    return connection


def seconds() -> Iterator[None]:
    """Yield once a second, for as long as this runs."""
    due = time.monotonic()
    while True:
        yield
        due += 1
        time.sleep(max(0.0, due - time.monotonic()))


def slowly(port: int, count: int, begun: bytes, more: bytes) -> None:
    held = [connected(port, begun) for _ in range(count)]
    print("ready", flush=True)  # noqa: T201 - who started it reads this
    for _ in seconds():
        for number, connection in enumerate(held if more else []):
            try:
                connection.sendall(more)
            except OSError:
                connection.close()
                held[number] = connected(port, begun)


def at_once(port: int, often: int, rest: bytes) -> None:
    print("ready", flush=True)  # noqa: T201 - same
    while True:
        began = time.monotonic()
        with (
            suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=60) as connection,
        ):
            connection.sendall(_HEAD + rest)
            connection.recv(65_536)
        time.sleep(max(0.0, began + 1 / often - time.monotonic()))


def main(port: int, kind: str) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if kind in SLOWLY:
        slowly(port, *SLOWLY[kind])
    at_once(port, *ALL_AT_ONCE[kind])


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
