"""A small real HTTP server that misbehaves on request: the other end of every pull test."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CHUNK = 64 << 10


@dataclass
class Site:
    """What the server holds and how it answers; counts every request and byte."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    answers: Callable[[str, str, int], int | None] = lambda _path, _range, _count: None
    """By path, Range header and request number: a status to answer instead."""
    headers: dict[str, str] = field(default_factory=dict)
    """Sent with such an instead-status."""
    cut_after: Callable[[str, int], int | None] = lambda _path, _count: None
    """By path and request number: send so many bytes of the body and close."""
    claimed_size: int | None = None
    gate: Callable[[str, int], None] = lambda _path, _offset: None
    """Called before each chunk of a body, with its place in the file."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    sent: int = 0
    url: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    site: Site

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        site, path = self.site, self.path.partition("?")[0]
        asked = self.headers.get("Range", "")
        with site.lock:
            site.requests.append((self.path, asked))
            site.authorizations.append(self.headers.get("Authorization"))
            count = len(site.requests)
        instead = site.answers(self.path, asked, count)
        if instead is not None:
            self._empty(instead)
        elif path not in site.files:
            self._empty(404)
        else:
            self._file(path, asked, count)

    def _empty(self, status: int) -> None:
        self.send_response(status)
        for name, value in self.site.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _file(self, path: str, asked: str, count: int) -> None:
        site = self.site
        content = site.files[path]
        size = site.claimed_size or len(content)
        etag = site.etags.get(path, f'"{hash(content)}"')
        partial = site.ranges and asked and self.headers.get("If-Range") in (None, etag)
        first, last = _range(asked, size) if partial else (0, size - 1)
        body = content[first : last + 1][: site.cut_after(path, count)]
        self.send_response(206 if partial else 200)
        if partial:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        if etag:
            self.send_header("ETag", etag)
        self.send_header("Content-Length", str(last - first + 1))
        self._body(path, first, body)
        if len(body) <= last - first:
            self.close_connection = True

    def _body(self, path: str, first: int, body: bytes) -> None:
        """Send the body in chunks, each counted before it leaves: who has it may look at once."""
        site = self.site
        for start in range(0, len(body), CHUNK) or [0]:
            site.gate(path, first + start)
            chunk = body[start : start + CHUNK]
            with site.lock:
                site.sent += len(chunk)
            if start == 0:
                self.end_headers()
            self.wfile.write(chunk)


def _range(asked: str, size: int) -> tuple[int, int]:
    start, _, end = asked.removeprefix("bytes=").partition("-")
    return int(start), min(int(end or size - 1), size - 1)


@contextmanager
def serving(site: Site, address: str = "127.0.0.1") -> Iterator[Site]:
    """Serve a site on a free port."""
    server = ThreadingHTTPServer((address, 0), type("Handler", (_Handler,), {"site": site}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    site.url = f"http://{address}:{server.server_address[1]}"
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
