"""The configuration of a pool's Collector in a real one, over real and documented engines."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from paddock import names
from paddock.api.inferencepool import EngineName
from paddock.facts import PodFact
from paddock.observe.delivery import sent_points
from paddock.plan.engines.llama_cpp import PROFILE
from paddock.plan.engines.profile import PooledModel
from paddock.plan.telemetry.collector_config import TARGETS, build_config, build_targets
from support.collector import Received, points_of, running, sink, to_sink
from support.engine_servers import serving
from support.ports import free_port
from support.recorded_vllm import PAGE
from support.stores import pool_of, two_models

pytestmark = pytest.mark.contract
CANARY = "canary-9c1d"
POD = PodFact("chat-1", "uid-1", "Running", ip="127.0.0.1", ready=True)
LABELS = {"namespace": "team", "pool": "chat", "pod": "chat-1"}
RECORDED = f'{PAGE}vllm:lora_requests_info{{running_lora_adapters="canary-9c1d"}} 1.0\n'


@pytest.fixture
def models(tmp_path: Path) -> tuple[PooledModel, ...]:
    return two_models(tmp_path, "alpha")


@contextmanager
def collected(folder: Path, targets: str, port: int) -> Iterator[tuple[Received, int]]:
    """Run a Collector with our configuration; scrapes come each second, not each fifteenth."""
    folder.mkdir()
    (folder / TARGETS).write_text(targets.replace(f":{names.ENGINE_PORT}", f":{port}"))
    own = free_port()
    with sink() as (url, bodies):
        config = build_config(to_sink(url), folder=str(folder), own_port=own)
        config = re.sub(r"scrape_(interval|timeout): \d+s", r"scrape_\1: 1s", config)
        with running(folder, config, f"http://127.0.0.1:{own}/metrics"):
            yield Received(bodies), own


def numbers(received: Received, name: str, model: str) -> list[float]:
    return [each.value for each in received.points(name) if each.labels.get("model") == model]


async def asked(url: str, model: str) -> int:
    async with httpx.AsyncClient(timeout=60) as client:
        body = {"model": model, "prompt": f"{CANARY} tell me", "max_tokens": 4}
        answer = (await client.post(f"{url}/v1/completions", json=body)).raise_for_status()
    tokens: int = answer.json()["usage"]["completion_tokens"]
    return tokens


async def got(url: str) -> str:
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(url)).text


async def test_llama_servers_numbers_arrive_under_our_names_and_equal_the_clients(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", "beta")
    store = {"/store": tmp_path / "store"}
    with serving(PROFILE, PROFILE.run(pool, models), tmp_path / "pod", store) as served:
        tokens = sum([await asked(served.url, "alpha") for _ in range(3)])
        targets = build_targets(pool, models, [POD])
        port = int(served.url.rpartition(":")[2])
        with collected(tmp_path / "collector", targets, port) as (received, own):
            generated = "paddock.engine.tokens.generated"
            received.until(
                "the generated tokens arrive",
                lambda: numbers(received, generated, "alpha")[-1:] == [float(tokens)],
            )
            delivered = await got(f"http://127.0.0.1:{own}/metrics")
        loaded = json.loads(await got(f"{served.url}/v1/models"))["data"]

    found = received.metrics()
    assert found[generated]["unit"] == "{token}"
    assert found[generated]["sum"]["isMonotonic"]
    assert found["paddock.engine.requests.waiting"]["unit"] == "{request}"
    assert points_of(found[generated])[-1].labels.items() >= {
        **LABELS, "engine": "LlamaCpp",
    }.items()  # fmt: skip
    assert {name for name in found if not name.startswith("paddock.engine.")} == set()
    assert sent_points(delivered) > 0
    assert CANARY not in received.text
    assert {each["id"]: each["status"]["value"] for each in loaded} == {
        "alpha": "loaded", "beta": "unloaded",
    }  # fmt: skip


def test_targets_that_change_are_followed_without_a_restart(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    pool = pool_of(EngineName.VLLM, "alpha")
    with recorded() as port:
        nobody = build_targets(pool, models[:1], [])
        with collected(tmp_path / "collector", nobody, port) as (received, _):
            somebody = build_targets(pool, models[:1], [POD])
            file = tmp_path / "collector" / TARGETS
            fresh = file.with_suffix(".new")
            fresh.write_text(somebody.replace(f":{names.ENGINE_PORT}", f":{port}"))
            fresh.rename(file)
            received.until("the pod is scraped", lambda: received.points("paddock.engine.up"))


def test_vllms_recorded_numbers_arrive_under_the_same_names(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    pool = pool_of(EngineName.VLLM, "alpha")
    with recorded() as port:
        targets = build_targets(pool, models[:1], [POD])
        with collected(tmp_path / "collector", targets, port) as (received, _):
            received.until(
                "the cache's use arrives", lambda: received.points("paddock.engine.kv_cache.usage")
            )
            metrics = received.metrics()

    values = {name: points_of(metric)[-1].value for name, metric in metrics.items()}
    assert values == {
        "paddock.engine.requests.running": 2,
        "paddock.engine.requests.waiting": 1,
        "paddock.engine.kv_cache.usage": 0.00012207776353534427,
        "paddock.engine.tokens.prompt": 310,
        "paddock.engine.tokens.cached": 0,
        "paddock.engine.tokens.generated": 33,
        "paddock.engine.preemptions": 0,
        "paddock.engine.first_token.duration": 10,
        "paddock.engine.request.duration": 8,
        "paddock.engine.up": 1,
    }
    assert points_of(metrics["paddock.engine.requests.running"])[-1].labels == {
        **LABELS, "model": "alpha", "engine": "VLLM", "rank": "0",
    }  # fmt: skip
    assert CANARY not in received.text


@contextmanager
def recorded() -> Iterator[int]:
    """Answer /metrics as a real vLLM did."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(RECORDED.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_targets_are_those_of_pods_with_an_address(models: tuple[PooledModel, ...]) -> None:
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", "beta")
    pods = [POD, replace(POD, name="chat-2", ip=None), replace(POD, name="chat-3", deleting=True),
            replace(POD, name="chat-0", ip="fd00::1")]  # fmt: skip
    found: list[Any] = json.loads(build_targets(pool, models, pods))
    assert [(each["targets"], each["labels"]["pod"], each["labels"]["__param_model"])
            for each in found] == [
        (["[fd00::1]:8080"], "chat-0", "alpha"), (["[fd00::1]:8080"], "chat-0", "beta"),
        (["127.0.0.1:8080"], "chat-1", "alpha"), (["127.0.0.1:8080"], "chat-1", "beta"),
    ]  # fmt: skip
