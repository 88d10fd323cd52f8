"""Progress over HTTP: GET /progress answers one JSON record; everything else is 404."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from paddock import names
from paddock.puller.meter import Meter


def serve_progress(meter: Meter, port: int = names.PROGRESS_PORT) -> ThreadingHTTPServer:
    """Start answering in a thread that ends with the process."""

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

    server = ThreadingHTTPServer(("", port), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
