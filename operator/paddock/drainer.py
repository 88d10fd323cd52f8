"""`python -m paddock.drainer PORT ENGINE_PORT LEAST MOST`: tells when an engine may end.

It runs beside the engine. The kubelet asks for its page before it ends the engine, and the page is
held while anybody is connected there. It knows no engine: it reads the pod's own table of
connections, and opens none. It is told to end at the same moment, and outlasts the engine.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from paddock import names

TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_POLL_SECONDS = 1.0
_LISTENING = frozenset({"0A"})
_CONNECTED = frozenset({"01", "04"})
"""Established, or closed by the engine with bytes that the other side has not taken yet."""


def connections(tables: Iterable[str], port: int) -> int:
    """Count who is connected to the port, in tables as Linux writes them."""
    return _count(tables, port, _CONNECTED)


def is_served(tables: Iterable[str], port: int) -> bool:
    """Return whether somebody listens on the port."""
    return _count(tables, port, _LISTENING) > 0


def _count(tables: Iterable[str], port: int, states: frozenset[str]) -> int:
    lines = [line.split() for table in tables for line in table.splitlines()[1:]]
    return sum(
        state in states and int(local.rpartition(":")[2], 16) == port
        for _, local, _, state, *_ in lines
    )


def wait_until_left(port: int, least: int, most: int) -> None:
    """Return when nobody is connected to the port, `least` seconds from now or later."""
    began = time.monotonic()
    while (passed := time.monotonic() - began) < most:
        if passed >= least and not connections(_read(), port):
            return
        time.sleep(_POLL_SECONDS)


def _read() -> list[str]:
    return [table.read_text() for table in TABLES if table.exists()]


def serve(port: int, engine_port: int, least: int, most: int) -> None:
    """Serve the page until SIGTERM has come and the engine has ended."""
    told = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: told.set())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != names.DRAIN_PATH:
                self.send_error(404)
                return
            wait_until_left(engine_port, least, most)
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent: the kubelet tells what it asked for."""

    with ThreadingHTTPServer(("", port), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        told.wait()
        while is_served(_read(), engine_port):
            time.sleep(_POLL_SECONDS)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
