"""Sums good enough to bill from, and a Collector that is away, stuck or refuses: nobody notices."""

import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import Otlp
from support.answering import answering
from support.billing import (
    FLUSH_SECONDS,
    KEYS,
    POOLS,
    Bill,
    ask,
    ask_many,
    billed,
    front,
)
from support.envoys import Gateway
from support.metered import metered
from support.ports import free_port
from support.signals import ALSO, Signals, collecting_requests

pytestmark = pytest.mark.contract
RETRIES = "Exporting failed. Will retry the request after interval."


def test_bill_is_the_clients_own_sum_also_after_a_restart(tmp_path: Path) -> None:
    with metered() as backend, collecting_requests(tmp_path / "collector", POOLS) as signals:
        with front(tmp_path / "one", signals.address, backend) as running:
            told = ask_many(running.url, 300, seed=1)
            signals.until("the first sums arrive", lambda: billed(signals) == told)
        with front(tmp_path / "two", signals.address, backend) as running:
            told += ask_many(running.url, 100, seed=2)
            signals.until("the second sums are added", lambda: billed(signals) == told)
            counted = signals.sums("paddock.gateway.requests", "paddock.caller")
            signals.until("some are traced", lambda: len(signals.received.spans()) >= 10)

    assert counted.total() == 400
    assert len(signals.received.spans()) <= 100, "a trace begins for ten of a hundred"
    assert {caller for (caller,) in counted} == set(KEYS)
    assert not [token for token in KEYS.values() if token in signals.received.text]


def test_envoy_that_is_killed_loses_what_its_last_flush_did_not_bring(tmp_path: Path) -> None:
    told: list[tuple[float, Bill]] = []
    chosen = random.Random(3)  # noqa: S311 - no secret
    with metered() as backend, collecting_requests(tmp_path / "collector", POOLS) as signals:
        with (
            front(tmp_path / "one", signals.address, backend) as running,
            httpx.Client(base_url=running.url, timeout=60) as client,
        ):
            signals.until("something was counted", lambda: steady(client, chosen, told, signals))
            end = time.monotonic() + FLUSH_SECONDS * 6
            while time.monotonic() < end:
                told.append((time.monotonic(), ask(client, chosen)))
            killed = time.monotonic()
            running.process.kill()
            running.process.wait()
        kept = sum((bill for at, bill in told if at < killed - FLUSH_SECONDS - 2), Bill())
        signals.until("what was flushed arrives", lambda: kept <= billed(signals))

    everything = sum((bill for _, bill in told), Bill())
    assert Bill() < kept <= billed(signals) <= everything


def steady(
    client: httpx.Client, chosen: random.Random, told: list[tuple[float, Bill]], signals: Signals
) -> bool:
    told.append((time.monotonic(), ask(client, chosen)))
    return bool(billed(signals))


@contextmanager
def stuck(port: int) -> Iterator[None]:
    """Take connections, and never say or read a word."""
    with socket.create_server(("127.0.0.1", port)):
        yield


@contextmanager
def refusing(port: int) -> Iterator[None]:
    """Answer whatever comes in a language that is not asked for."""
    with answering("nobody", port):
        yield


@contextmanager
def away(port: int) -> Iterator[None]:
    del port
    yield


@pytest.mark.parametrize("trouble", [away, stuck, refusing])
def test_collector_in_trouble_is_not_noticed_by_callers_and_loses_no_sum(
    trouble: Callable[[int], AbstractContextManager[None]], tmp_path: Path
) -> None:
    began, port = time.monotonic(), free_port()
    gone = Otlp(endpoint=f"http://127.0.0.1:{free_port()}")
    with metered() as backend, front(tmp_path / "one", f"127.0.0.1:{port}", backend) as running:
        with trouble(port):
            before = memory(running)
            told = ask_many(running.url, 800, seed=4)
            grown = memory(running) - before
        with collecting_requests(tmp_path / "collector", POOLS, port=port, also_to=gone) as signals:
            told += ask_many(running.url, 20, seed=5)
            signals.until("all sums arrive", lambda: billed(signals) == told)
            dropped = "paddock.gateway.telemetry.dropped"
            lost = signals.until("losses are told", lambda: +signals.sums(dropped, "signal"))
            signals.until("batches wait", lambda: signals.waiting(ALSO) > 3)
        said = running.log.read_text()
        minutes = 1 + (time.monotonic() - began) // 60

    assert set(lost) <= {("logs",), ("spans",)}
    assert grown < 64 * 1024
    assert said == ""
    lines = signals.log.read_text().splitlines()
    messages = Counter("".join(line.split("\t")[3:4]) for line in lines)
    assert 1 <= messages[RETRIES] <= minutes
    assert max(messages.values()) <= minutes


def memory(running: Gateway) -> int:
    """Return the resident KiB of an Envoy."""
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1])
