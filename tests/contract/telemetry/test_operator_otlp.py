"""An operator's spans and metrics in a real Collector, and an operator whose receiver is unwell."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from support.collector import Received, attributes_of, collecting
from support.loop_world import LoopWorld, Process
from support.ports import free_port

pytestmark = pytest.mark.contract
CANARY = "canary-7f3a"
QUICK = {"telemetry_spans": 0.5, "telemetry_metrics": 1.0, "telemetry_timeout": 2.0}


@pytest.fixture(scope="module")
def received(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Received]:
    with collecting(tmp_path_factory.mktemp("collector")) as received:
        yield received


async def scraped(port: int) -> str:
    async with httpx.AsyncClient() as client:
        answer = await client.get(f"http://127.0.0.1:{port}/metrics")
    assert answer.status_code == 200
    return answer.text


async def test_spans_and_metrics_arrive_and_say_what_metrics_says(
    world: LoopWorld, received: Received
) -> None:
    port = free_port()
    process = world.start(otlp_endpoint=received.otlp, health_port=port)
    source = f"https://user:{CANARY}@models.example.com/{CANARY}.gguf?token={CANARY}"
    await world.make("tiny", source)
    await world.settled("tiny", source)
    text = await scraped(port)
    await process.ended(signal.SIGTERM)

    spans = [span for span in received.spans() if attributes_of(span).get("name") == "tiny"]
    assert {span["name"] for span in spans} == {"pass"}
    assert attributes_of(spans[0]) == {
        "kind": "localmodels", "namespace": world.namespace, "name": "tiny",
    }  # fmt: skip
    metrics = received.metrics()
    assert {
        "paddock.queue.depth", "paddock.passes", "paddock.pass.duration",
        "paddock.api.requests", "paddock.leader",
    } <= set(metrics)  # fmt: skip
    done = received.points("paddock.passes")[-1]
    assert done.labels == {"kind": "localmodels", "outcome": "Done"}
    assert done.value >= 1
    assert 'paddock_passes_total{kind="localmodels",outcome="Done"}' in text
    assert 'paddock_api_requests_total{verb="PATCH",code="201"} 1\n' in text
    assert 'paddock_api_requests_total{verb="PATCH",code="200"} 1\n' in text
    for words in (received.text, text, process.log):
        assert CANARY not in words
    assert "not delivered" not in process.log


@contextmanager
def unwell(kind: str) -> Iterator[str]:
    """Give the URL of a receiver that is down, never answers, refuses, or answers nonsense."""
    if kind == "down":
        yield f"http://127.0.0.1:{free_port()}"
    elif kind == "silent":
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    else:
        with refusing({"throttling": 429, "wrong protocol": 404}[kind]) as url:
            yield url


@contextmanager
def refusing(status: int) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kind", ["down", "silent", "throttling", "wrong protocol"])
async def test_unwell_receiver_changes_nothing_for_passes(world: LoopWorld, kind: str) -> None:
    port = free_port()
    with unwell(kind) as url:
        process = world.start(otlp_endpoint=url, health_port=port, delays=QUICK)
        for number in range(5):
            await world.make(f"m{number}")
        for number in range(5):
            await world.change_and_settle(f"m{number}", number)
        text = await until_dropped(world, process, port)
        took = await process.ended(signal.SIGTERM)

    assert 'paddock_telemetry_dropped_total{signal="' in text
    assert process.popen.returncode == 0
    assert took < 6
    complaints = [line for line in process.log.splitlines() if "not delivered" in line]
    assert 1 <= len([line for line in complaints if "the last" not in line]) <= 2
    assert "Traceback" not in process.log


async def until_dropped(world: LoopWorld, process: Process, port: int) -> str:
    async def dropped() -> str | None:
        text = await scraped(port)
        return text if "paddock_telemetry_dropped_total{" in text else None

    text: str = await world.until(f"{process.name} gives up some telemetry", dropped, 40)
    return text
