"""Progress over HTTP: GET /progress answers one JSON record; everything else is 404."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from paddock import names
from paddock.puller.meter import Meter

_POLL_SECONDS = 0.05
"""How long the end of a pull waits for this server's."""


@contextmanager
def progress_served(meter: Meter, port: int = names.PROGRESS_PORT) -> Iterator[int]:
    """Answer in a thread of its own until the block ends; yield the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/progress":
                self.send_error(404)
                return
            body = meter.news().model_dump_json(by_alias=True, exclude_none=True).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay silent: requests carry nothing worth a log."""

    with ThreadingHTTPServer(("", port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
