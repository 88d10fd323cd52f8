"""A little server on loopback that answers every request with its own name, and counts them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HELD_SECONDS = 60


@dataclass(slots=True)
class Answering:
    """One running server."""

    name: str
    port: int = 0
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    open: threading.Event = field(default_factory=threading.Event)
    """While it is clear, answers are held back."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def asked(self) -> int:
        return len(self.headers)


@contextmanager
def answering(
    name: str, port: int = 0, *, after: threading.Event | None = None
) -> Iterator[Answering]:
    """Answer until the block ends; where told, only after this."""
    server = Answering(name, open=after or threading.Event())
    if after is None:
        server.open.set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.paths.append(self.path)
            server.headers.append({key.lower(): value for key, value in self.headers.items()})
            server.open.wait(HELD_SECONDS)
            body = json.dumps({"by": name}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            del format, args

    listener = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.port = listener.server_address[1]
    thread = threading.Thread(target=listener.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        listener.server_close()
        thread.join()
