"""An engine stand-in as a process of its own, quick enough to hide no proxy: prints its port.

Reads each body to its end, then answers at once; or, where the body asks for a stream, sends
`max_tokens` events at a steady rate, each of which says when it was sent.
"""

import asyncio
import json
import re
import sys
import time

SECONDS_PER_TOKEN = 1 / 50
_ANSWER = json.dumps(
    {"object": "chat.completion", "choices": [{"message": {"content": "word " * 40}}],
     "usage": {"prompt_tokens": 10, "completion_tokens": 40}}
).encode()  # fmt: skip
_WHOLE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_ANSWER),
    _ANSWER,
)
_STREAM = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_END_OF_HEAD, _END_OF_CHUNKS = b"\r\n\r\n", b"0\r\n\r\n"
_BACKLOG = 4096


class Engine(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._length: int | None = None
        self._had = 0
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parts.append(data)
        self._had += len(data)
        if self._length is None:
            self._read_head()
        if self._is_whole():
            self._answer(b"".join(self._parts))
            self._parts, self._length, self._had = [], None, 0

    def _read_head(self) -> None:
        head, found, _ = b"".join(self._parts).partition(_END_OF_HEAD)
        if found:
            length = re.search(rb"(?i)content-length: *(\d+)", head)
            self._chunked = length is None
            self._length = len(head) + 4 + (int(length[1]) if length else len(_END_OF_CHUNKS))

    def _is_whole(self) -> bool:
        if self._length is None or self._had < self._length:
            return False
        return not self._chunked or self._parts[-1].endswith(_END_OF_CHUNKS)

    def _answer(self, request: bytes) -> None:
        asked = request[-256:]
        if b'"stream":true' not in asked:
            self._transport.write(_WHOLE)
            return
        tokens = re.search(rb'"max_tokens":(\d+)', asked)
        assert tokens is not None
        self._transport.write(_STREAM)
        self._next(int(tokens[1]), time.monotonic())

    def _next(self, left: int, due: float) -> None:
        if self._transport.is_closing():
            return
        if left == 0:
            self._transport.write(b"e\r\ndata: [DONE]\n\n\r\n" + _END_OF_CHUNKS)
            return
        event = (
            b'data: {"choices":[{"delta":{"content":"word"}}],"at":%d}\n\n' % time.monotonic_ns()
        )
        self._transport.write(b"%x\r\n%s\r\n" % (len(event), event))
        due += SECONDS_PER_TOKEN
        loop = asyncio.get_running_loop()
        loop.call_later(max(0.0, due - time.monotonic()), self._next, left - 1, due)


async def main(port: int) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Engine, "127.0.0.1", port, backlog=_BACKLOG)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201 - who started it reads this
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
