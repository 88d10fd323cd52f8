"""A read-only HTTP server with ranges over one folder: where the embedded cluster pulls samples.

Run as `python -m paddock.local.sample_source FOLDER ADDRESS PORT`. It serves plain files by name
and nothing else.
"""

import contextlib
import re
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

_CHUNK = 1 << 20
_NAME = re.compile(r"^/([A-Za-z0-9_][A-Za-z0-9._-]*)$")
_RANGE = re.compile(r"^bytes=(\d+)-(\d*)$")


class RangeHandler(BaseHTTPRequestHandler):
    """Answers GET and HEAD for the files of one folder."""

    protocol_version = "HTTP/1.1"
    folder = Path()

    def handle(self) -> None:
        """Answer until the client leaves; leaving early is not an error."""
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        """Send a file or the asked range of it."""
        self._answer(body=True)

    def do_HEAD(self) -> None:
        """Send what GET would, without the body."""
        self._answer(body=False)

    def log_message(self, *_: object) -> None:
        """Stay silent."""

    def _answer(self, *, body: bool) -> None:
        name = _NAME.match(self.path)
        file = self.folder / name[1] if name else None
        if file is None or not file.is_file():
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        size = file.stat().st_size
        first, last = self._range(size)
        partial = "Range" in self.headers
        self.send_response(HTTPStatus.PARTIAL_CONTENT if partial else HTTPStatus.OK)
        if partial:
            self.send_header("Content-Range", f"bytes {first}-{last}/{size}")
        self.send_header("Content-Length", str(last - first + 1))
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{size}-{file.stat().st_mtime_ns}"')
        self.end_headers()
        if body:
            self._send(file, first, last - first + 1)

    def _range(self, size: int) -> tuple[int, int]:
        asked = _RANGE.match(self.headers.get("Range", ""))
        if asked is None:
            return 0, size - 1
        return int(asked[1]), min(int(asked[2] or size - 1), size - 1)

    def _send(self, file: Path, offset: int, left: int) -> None:
        with file.open("rb") as stream:
            stream.seek(offset)
            while left > 0:
                chunk = stream.read(min(_CHUNK, left))
                self.wfile.write(chunk)
                left -= len(chunk)


def serve(folder: Path, address: str, port: int) -> ThreadingHTTPServer:
    """Return a server of the folder; the caller runs it."""
    handler = type("Handler", (RangeHandler,), {"folder": folder})
    return ThreadingHTTPServer((address, port), handler)


if __name__ == "__main__":
    serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])).serve_forever()
