"""HTTP/2 over TLS frame by frame, for what no client library would send. RFC 9113, RFC 7541.

Headers are sent as literals, and the other side is told to keep no table of ours nor of its own.
"""

import socket
import ssl
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

DATA, HEADERS, RESET, SETTINGS, PING, GO_AWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
END_STREAM, END_HEADERS, ACKNOWLEDGED = 1, 4, 1
CANCEL = struct.pack(">I", 8)
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_NO_TABLE = struct.pack(">HI", 1, 0)
_STATUSES = {0x88: 200, 0x89: 204, 0x8A: 206, 0x8B: 304, 0x8C: 400, 0x8D: 404, 0x8E: 500}
_NEW_SIZE, _LITERAL_STATUS, _HUFFMAN = 0xE0, (0x08, 0x18, 0x48), 0x80
_DIGITS = {
    **{f"{digit:05b}": str(digit) for digit in range(3)},
    **{f"{digit + 22:06b}": str(digit) for digit in range(3, 10)},
}
"""Huffman's code of the digits."""
Field = tuple[bytes, bytes]


@dataclass
class Heard:
    """What was said: statuses by stream, streams reset without one, whether all has ended."""

    statuses: dict[int, int] = field(default_factory=dict)
    reset: set[int] = field(default_factory=set)
    ended: bool = False

    def has(self, stream: int) -> bool:
        return self.ended or stream in self.statuses or stream in self.reset


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def fields(listed: Iterable[Field]) -> bytes:
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in listed)


def _text(value: bytes) -> bytes:
    """Write a string without Huffman's code; lengths from 127 on go on in groups of seven bits."""
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, more = len(value) - 127, bytearray([127])
    while rest >= 128:
        more.append(rest % 128 + 128)
        rest //= 128
    return bytes([*more, rest]) + value


class Connection:
    """One connection; what it hears is kept."""

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self._tls, self._buffer = tls, b""
        self.heard = Heard()

    def send(self, *frames: bytes) -> None:
        """Send these frames; that the other side has ended meanwhile is heard, not raised."""
        try:
            self._tls.sendall(b"".join(frames))
        except (ConnectionError, ssl.SSLError):
            self.heard.ended = True

    def ask(self, stream: int, listed: Iterable[Field], body: bytes | None = None) -> None:
        """Send a request; without a body, its head is its end."""
        flags = END_HEADERS | (END_STREAM if body is None else 0)
        data = () if body is None else (frame(DATA, END_STREAM, stream, body),)
        self.send(frame(HEADERS, flags, stream, fields(listed)), *data)

    def until_answered(self, stream: int) -> Heard:
        """Listen until the stream is answered or refused, or all has ended."""
        while not self.heard.has(stream):
            self._listen()
        return self.heard

    def _listen(self) -> None:
        try:
            piece = self._tls.recv(65_536)
        except (ConnectionError, ssl.SSLError):
            piece = b""
        self.heard.ended |= not piece
        self._buffer += piece
        for kind, flags, stream, payload in self._frames():
            if kind == HEADERS:
                self.heard.statuses[stream] = _status(payload)
            elif kind == RESET and stream not in self.heard.statuses:
                self.heard.reset.add(stream)
            elif kind == GO_AWAY:
                self.heard.ended = True
            elif kind in (SETTINGS, PING) and not flags & ACKNOWLEDGED:
                self.send(frame(kind, ACKNOWLEDGED, 0, payload if kind == PING else b""))

    def _frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        while len(self._buffer) >= 9:
            length = int.from_bytes(self._buffer[:3])
            if len(self._buffer) < 9 + length:
                return
            kind, flags, stream = struct.unpack(">BBI", self._buffer[3:9])
            payload, self._buffer = self._buffer[9 : 9 + length], self._buffer[9 + length :]
            yield kind, flags, stream, payload


def _status(block: bytes) -> int:
    """Read the status, which is the first of an answer's fields."""
    while block[0] & _NEW_SIZE == 0x20:
        block = block[1:]
    if block[0] in _STATUSES:
        return _STATUSES[block[0]]
    assert block[0] in _LITERAL_STATUS, block[:8].hex()
    length, rest = block[1] & ~_HUFFMAN, block[2:]
    value = rest[:length]
    return int(_digits(value) if block[1] & _HUFFMAN else value)


def _digits(coded: bytes) -> str:
    bits, found = "".join(f"{byte:08b}" for byte in coded), ""
    while len(found) < 3:
        size = next(size for size in (5, 6) if bits[:size] in _DIGITS)
        found, bits = found + _DIGITS[bits[:size]], bits[size:]
    return found


@contextmanager
def connected(port: int, seconds: float) -> Iterator[Connection]:
    """Open a connection by ALPN, and say how headers are to be sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection(("127.0.0.1", port), timeout=seconds) as plain,
        context.wrap_socket(plain) as tls,
    ):
        assert tls.selected_alpn_protocol() == "h2"
        connection = Connection(tls)
        connection.send(_PREFACE, frame(SETTINGS, 0, 0, _NO_TABLE))
        yield connection
        with suppress(OSError):
            tls.shutdown(socket.SHUT_RDWR)
