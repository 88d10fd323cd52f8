"""How requests that fail are told of: by the status, or by what broke an answer that had begun."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import EngineName
from paddock.plan.gateway.rendering import Surroundings, render
from support.answering import answering
from support.envoys import free_place, gateway
from support.gateways import ALPHA, BETA
from support.pools import DIGEST
from support.ports import free_port
from support.signals import COLLECTOR, collecting_requests, measured, often
from support.stores import pool_of, ready_model, renamed

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA, "beta": BETA, "gamma": ready_model("gamma", DIGEST)}
ONCE = {"limits": {"requestsPerMinute": 1}}
LIMITED = measured(renamed(pool_of(EngineName.LLAMA_CPP, "alpha", gateway=ONCE), "limited"))
GONE = measured(renamed(pool_of(EngineName.LLAMA_CPP, "beta"), "gone"))
SLOW = measured(renamed(pool_of(EngineName.LLAMA_CPP, "gamma"), "slow"))
POOLS = (LIMITED, GONE, SLOW)


@contextmanager
def endless() -> Iterator[str]:
    """Begin one answer, and never end it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def begin() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                    b"Content-Length: 1000\r\n\r\ndata: {}\n\n"
                )
                while connection.recv(65_536):
                    pass

        beginning = threading.Thread(target=begin)
        beginning.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        beginning.join()


def test_failures_are_told_by_status_or_by_what_broke_the_answer(tmp_path: Path) -> None:
    place = free_place(tmp_path)
    rendering = render("team", POOLS, MODELS, Surroundings(place=place))
    labels = ("paddock.pool", "http.response.status_code", "error.type")
    with (
        answering("engine") as engine,
        endless() as slow,
        collecting_requests(tmp_path / "collector", POOLS) as signals,
    ):
        backends = {
            "limited.team": engine.address,
            "gone.team": f"127.0.0.1:{free_port()}",
            "slow.team": slow,
            COLLECTOR: signals.address,
        }
        with gateway(often(rendering), place, tmp_path, backends) as running:
            ask = f"{running.url}/v1/completions"
            for model, status in (("alpha", 200), ("alpha", 429), ("beta", 503)):
                answer = httpx.post(ask, json={"model": model, "prompt": "hi"}, timeout=60)
                assert answer.status_code == status, answer.text
            unknown = httpx.post(ask, json={"model": "delta", "prompt": "hi"}, timeout=60)
            assert unknown.status_code == 404, unknown.text
            hidden = httpx.post(f"{running.url}/api/pull", json={"model": "alpha"}, timeout=60)
            assert hidden.status_code == 403, hidden.text
            body = {"model": "gamma", "prompt": "hi", "stream": True}
            with httpx.stream("POST", ask, json=body, timeout=60) as begun:
                next(begun.iter_raw())
            wanted = {
                ("limited", "200", ""): 1,
                ("limited", "429", "429"): 1,
                ("gone", "503", "503"): 1,
                ("slow", "200", "DownstreamConnectionTermination"): 1,
                ("", "404", "404"): 1,
                ("", "403", "403"): 1,
            }
            signals.until(
                "every failure is counted",
                lambda: signals.sums("paddock.gateway.requests", *labels) == wanted,
            )

            told = ("gen_ai.request.model", "http.route", *labels)
            signals.until(
                "every record but the last,", lambda: len(signals.records()) == len(wanted) - 1
            )
            without = [{key for key in told if key in each} for each in signals.records()]

    assert signals.sums("paddock.gateway.tokens") == {}
    assert {"http.route", "http.response.status_code", "error.type"} in without
