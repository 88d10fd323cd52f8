"""A real Envoy that is drained: what it has is answered, and callers go elsewhere."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from paddock.plan.gateway.draining import LEAST_SECONDS
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from support.answering import Answering, answering
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, CPP

pytestmark = pytest.mark.contract
SECONDS = 60.0


@pytest.fixture
def backend() -> Iterator[Answering]:
    with answering("engine") as server:
        yield server
        server.open.set()


@pytest.fixture
def front(backend: Answering, tmp_path: Path) -> Iterator[Gateway]:
    place = free_place(tmp_path)
    rendering = hurried(render("team", [CPP], {"alpha": ALPHA}, Surroundings(place=place)))
    with gateway(rendering, place, tmp_path, {"cpp.team": backend.address}) as running:
        yield running


def hurried(rendering: Rendering) -> Rendering:
    """Drain for a second at least, instead of ten."""
    least = f"local least, most = {LEAST_SECONDS},"
    assert least in rendering.bootstrap
    quick = rendering.bootstrap.replace(least, "local least, most = 1,")
    return replace(rendering, bootstrap=quick)


def ask(front: Gateway) -> httpx.Response:
    body = {"model": "alpha", "prompt": "hi"}
    return httpx.post(f"{front.url}/v1/completions", json=body, timeout=SECONDS)


def drain(front: Gateway) -> httpx.Response:
    return httpx.get(front.drain_url, timeout=SECONDS)


def until_sent_away(front: Gateway) -> None:
    deadline = time.monotonic() + SECONDS
    while httpx.get(f"{front.url}/healthz", timeout=SECONDS).headers.get("connection") != "close":
        assert time.monotonic() < deadline, "callers are not asked to go"
        time.sleep(0.05)


def test_drain_ends_when_the_last_request_is_answered_and_not_before(
    front: Gateway, backend: Answering
) -> None:
    assert "connection" not in ask(front).headers
    backend.open.clear()
    with ThreadPoolExecutor(2) as threads:
        held = threads.submit(ask, front)
        deadline = time.monotonic() + SECONDS
        while backend.asked < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        drained = threads.submit(drain, front)
        until_sent_away(front)
        alive = httpx.get(f"{front.status_url}/state", timeout=SECONDS).status_code
        with pytest.raises(TimeoutError):
            drained.result(timeout=3)
        backend.open.set()
        answers = [held.result().status_code, drained.result().status_code]

    assert alive == 200
    assert answers == [200, 200]
    assert "connection" not in ask(front).headers


def test_idle_envoy_is_drained_at_once_and_is_as_before(front: Gateway) -> None:
    assert drain(front).status_code == 200
    answer = ask(front)

    assert answer.status_code == 200
    assert "connection" not in answer.headers
