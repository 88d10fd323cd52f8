"""A little engine on loopback that answers at once and tells how many tokens it took and made.

Both are the caller's to choose: a prompt's words, and `max_tokens`. A stream that is `untold` says
nothing of them, and one that is `endless` waits after its words until the caller has gone.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65_536

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        usage = {"prompt_tokens": len(asked["prompt"].split()),
                 "completion_tokens": asked["max_tokens"]}  # fmt: skip
        words: list[Any] = [{"choices": [{"text": "word"}]}] * asked["max_tokens"]
        if asked.get("stream"):
            told = () if asked.get("untold") else ({"choices": [], "usage": usage},)
            body = "".join(f"data: {json.dumps(each)}\n\n" for each in (*words, *told))
            body += "data: [DONE]\n\n"
        else:
            body = json.dumps({"choices": words, "usage": usage})
        self.send_response(200)
        kind = "text/event-stream" if asked.get("stream") else "application/json"
        self.send_header("Content-Type", kind)
        endless = bool(asked.get("endless"))
        self.send_header("Content-Length", str(len(body.encode()) + endless))
        if self.headers.get("Connection") == "close":
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body.encode())
        if endless:
            self.wfile.flush()
            self.close_connection = not self.rfile.read(1)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        del format, args


@contextmanager
def metered() -> Iterator[str]:
    """Answer until the block ends; gives HOST:PORT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
