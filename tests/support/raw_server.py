"""A TCP server that says HTTP, or whatever it is told to: every answer is raw bytes.

`{host}` in an answer becomes the server's own host and port.
"""

import ssl
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from socketserver import StreamRequestHandler, ThreadingTCPServer

Answer = Callable[[], Iterable[bytes]]


def reply(body: bytes = b"", status: int = 200, **headers: str) -> Answer:
    """Answer with a body; a header's name is written with underscores, None of them checked."""
    given = {"Content-Length": str(len(body)), **_spelled(headers)}
    head = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    return lambda: [f"HTTP/1.1 {status} So\r\n{head}\r\n".encode("latin-1"), body]


def endless(chunk: bytes, status: int = 200, **headers: str) -> Answer:
    """Answer with a body that never ends."""
    head = "".join(f"{name}: {value}\r\n" for name, value in _spelled(headers).items())

    def answer() -> Iterator[bytes]:
        yield f"HTTP/1.1 {status} So\r\n{head}\r\n".encode("latin-1")
        while True:
            yield chunk

    return answer


def _spelled(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


class RawSite:
    """What is answered by path; every request line is kept."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self.credentials: list[str] = []
        self.host = ""


@contextmanager
def serving_raw(site: RawSite, tls: ssl.SSLContext | None = None) -> Iterator[RawSite]:
    """Serve on a free loopback port, perhaps over TLS."""

    class Handler(StreamRequestHandler):
        def setup(self) -> None:
            if tls is not None:
                self.request = tls.wrap_socket(
                    self.request, server_side=True, do_handshake_on_connect=False
                )
            super().setup()

        def handle(self) -> None:
            with suppress(ConnectionError, ssl.SSLError):
                self.answer()

        def finish(self) -> None:
            with suppress(ConnectionError, ssl.SSLError):
                super().finish()
            self.request.close()

        def answer(self) -> None:
            line = self.rfile.readline().decode("latin-1")
            site.asked.append(line.strip())
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                if header.lower().startswith(b"authorization:"):
                    site.credentials.append(header.decode().strip())
            path = (line.split(" ")[1:2] or [""])[0].partition("?")[0]
            answer = site.answers.get(path) or reply(status=404)
            for part in answer():
                self.wfile.write(part.replace(b"{host}", site.host.encode()))

    with ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        site.host = f"127.0.0.1:{server.server_address[1]}"
        try:
            yield site
        finally:
            server.shutdown()
            thread.join()
