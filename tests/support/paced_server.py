"""A file server with ranges as a process of its own, each connection capped: `FILE RATE DELAY`.

RATE is bytes per second of one connection, 0 for none; the bucket is empty when a connection comes,
so that many short connections gain nothing. DELAY is the seconds before each answer, as a distant
server has them. Prints its port.
"""

import os
import sys
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

TICK = 0.01


class Handler(BaseHTTPRequestHandler):
    """Answers GET with the file or a range of it."""

    protocol_version = "HTTP/1.1"
    file: Path
    rate: int
    delay: float
    started: float

    def setup(self) -> None:
        super().setup()
        self.started = time.monotonic()

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        time.sleep(self.delay)
        size = self.file.stat().st_size
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        start, end = int(first or 0), min(int(last or size - 1), size - 1)
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {start}-{end}/{size}")
        self.send_header("ETag", '"one"')
        self.send_header("Content-Length", str(end - start + 1))
        self.end_headers()
        self.wfile.flush()
        with self.file.open("rb") as stream:
            self.send(stream.fileno(), start, end + 1)

    def send(self, source: int, position: int, end: int) -> None:
        out, sent = self.connection.fileno(), 0
        while position < end:
            room = end - position
            if self.rate:
                room = min(room, int(self.rate * (time.monotonic() - self.started)) - sent)
                if room <= 0:
                    time.sleep(TICK)
                    continue
            count = os.sendfile(out, source, position, room)
            position, sent = position + count, sent + count


def main(file: str, rate: str, delay: str) -> None:
    Handler.file, Handler.rate, Handler.delay = Path(file), int(rate), float(delay)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        print(server.server_address[1], flush=True)  # noqa: T201 - who started it reads this
        server.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
