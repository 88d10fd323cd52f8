"""A real OpenTelemetry Collector on loopback, and what it passed on."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from paddock.local.progress import Lines
from support.collector_build import ensure_collector
from support.ports import free_port
from support.started import started

DEADLINE = 60.0
_POLL = 0.1


@dataclass(frozen=True, slots=True)
class Point:
    """One number as it arrived."""

    value: float
    labels: dict[str, str]


@dataclass(frozen=True, slots=True)
class Received:
    """What a Collector has passed on, as OTLP's JSON; `otlp` and `grpc` take it in."""

    bodies: list[str]
    otlp: str = ""
    grpc: str = ""

    @property
    def text(self) -> str:
        return "\n".join(self.bodies)

    def batches(self, key: str) -> Iterator[Any]:
        for body in list(self.bodies):
            yield from json.loads(body).get(key, [])

    def metrics(self) -> dict[str, Any]:
        """Return the newest of each metric by name."""
        return {
            metric["name"]: metric
            for batch in self.batches("resourceMetrics")
            for scope in batch["scopeMetrics"]
            for metric in scope["metrics"]
        }

    def points(self, name: str) -> list[Point]:
        """Return every point of a metric, the newest last."""
        found = []
        for batch in self.batches("resourceMetrics"):
            for scope in batch["scopeMetrics"]:
                for metric in scope["metrics"]:
                    if metric["name"] == name:
                        found += points_of(metric)
        return found

    def spans(self) -> list[Any]:
        return [
            span
            for batch in self.batches("resourceSpans")
            for scope in batch["scopeSpans"]
            for span in scope["spans"]
        ]

    def until(self, what: str, check: Callable[[], Any], seconds: float = DEADLINE) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := check()):
            if time.monotonic() > deadline:
                raise AssertionError(f"never: {what}\n{self.text[-3000:]}")
            time.sleep(_POLL)
        return value


def points_of(metric: Any) -> list[Point]:
    body = metric.get("sum") or metric.get("gauge") or metric.get("histogram") or {}
    return [
        Point(
            float(point.get("asDouble", point.get("asInt", point.get("count", 0)))),
            attributes_of(point),
        )
        for point in body.get("dataPoints", [])
    ]


def attributes_of(record: Any) -> dict[str, str]:
    return {
        each["key"]: str(next(iter(each["value"].values()), ""))
        for each in record.get("attributes", [])
    }


@contextmanager
def sink() -> Iterator[tuple[str, list[str]]]:
    """Run a receiver of OTLP's JSON; give its URL and the bodies as they come."""
    bodies: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", bodies
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def to_sink(url: str) -> Any:
    """Return the exporter that brings everything to a sink."""
    return {"otlphttp": {"endpoint": url, "encoding": "json", "compression": "none"}}


@contextmanager
def collecting(folder: Path) -> Iterator[Received]:
    """Run a Collector that passes on what it receives over OTLP."""
    port, grpc = free_port(), free_port()
    protocols = {"http": {"endpoint": f"127.0.0.1:{port}"},
                 "grpc": {"endpoint": f"127.0.0.1:{grpc}"}}  # fmt: skip
    with sink() as (url, bodies):
        config = {
            "receivers": {"otlp": {"protocols": protocols}},
            "exporters": to_sink(url),
            "service": {
                "telemetry": {"metrics": {"level": "none"}},
                "pipelines": {
                    signal: {"receivers": ["otlp"], "exporters": ["otlphttp"]}
                    for signal in ("traces", "metrics", "logs")
                },
            },
        }
        with running(folder, yaml.safe_dump(config), f"http://127.0.0.1:{port}/"):
            yield Received(bodies, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{grpc}")


@contextmanager
def running(folder: Path, config: str, url: str) -> Iterator[Path]:
    """Run a Collector of this configuration until the block ends; it answers at the URL."""
    program = ensure_collector(Lines())
    path, log = folder / "collector.yaml", folder / "collector.log"
    path.write_text(config)
    with started([program, "--config", path], log, url, any_answer=True):
        yield log
