"""A registry that knows no image: run as `python empty_registry.py ADDRESS PORT`.

It answers TLS with an HTTP error, as servers without TLS do, so that containerd asks again plainly.
"""

import sys
from http.server import BaseHTTPRequestHandler, HTTPServer


class Empty(BaseHTTPRequestHandler):
    """Answers that there is nothing."""

    default_request_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(404)

    def do_HEAD(self) -> None:
        self.send_error(404)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    HTTPServer((sys.argv[1], int(sys.argv[2])), Empty).serve_forever()
