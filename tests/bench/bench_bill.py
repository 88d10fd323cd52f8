"""Whether sums are good enough to bill from: clients' own counts against what a receiver was told.

Run as `python tests/bench/bench_bill.py [REQUESTS]`: three Envoys one after the other, with sums
brought away as often as in a cluster. The first ends as a drained one does, the second is killed
under load, the third serves on. Prints a table, and fails where an orderly end loses anything or a
killed Envoy loses more than what the bound allows.
"""

import random
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock.plan.gateway.signals import FLUSH_SECONDS
from support.billing import POOLS, Bill, ask, ask_many, billed, front
from support.envoys import Gateway
from support.metered import metered
from support.signals import Signals, collecting_requests

_DRAIN_SECONDS = 10
"""The least that a drained Envoy stays after its last request; see decision 0089."""
_SLACK_SECONDS = 1
"""A flush may be late by its own work and by the way to the Collector."""
_CALLERS = 4


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with (
        tempfile.TemporaryDirectory() as name,
        metered() as backend,
        collecting_requests(Path(name) / "collector", POOLS) as signals,
    ):
        folder = Path(name)
        with front(folder / "one", signals.address, backend, hurried=False) as running:
            told = ask_many(running.url, requests // 2, seed=1)
            time.sleep(_DRAIN_SECONDS)
        show("first half, then a restart", requests // 2, told, until_equal(signals, told))
        with front(folder / "two", signals.address, backend, hurried=False) as running:
            told += ask_many(running.url, requests - requests // 2, seed=2)
            time.sleep(_DRAIN_SECONDS)
        show("both halves", requests, told, until_equal(signals, told))
        with front(folder / "three", signals.address, backend, hurried=False) as running:
            moments = until_killed(running)
        everything = told + sum((bill for _, bill in moments), Bill())
        killed = moments[-1][0]
        kept = told + sum(
            (bill for at, bill in moments if at < killed - FLUSH_SECONDS - _SLACK_SECONDS), Bill()
        )
        signals.until("what was flushed arrives", lambda: kept <= billed(signals))
        arrived = billed(signals)
    show("and a third, killed under load", requests + len(moments), everything, arrived)
    lost = everything.total() - arrived.total()
    last = everything.total() - kept.total()
    sys.stdout.write(
        f"lost by the kill: {lost} tokens; asked for in its last "
        f"{FLUSH_SECONDS + _SLACK_SECONDS} s: {last} tokens\n"
    )
    assert arrived <= everything


def until_equal(signals: Signals, told: Bill) -> Bill:
    signals.until("every token is billed", lambda: billed(signals) == told)
    return billed(signals)


def until_killed(running: Gateway) -> list[tuple[float, Bill]]:
    """Ask until the Envoy is killed, between two of its flushes; return what clients were told."""
    moments: list[tuple[float, Bill]] = []
    over = threading.Event()

    def some(caller: int) -> None:
        chosen = random.Random(caller)  # noqa: S311 - no secret
        with httpx.Client(base_url=running.url, timeout=60) as client:
            while not over.is_set():
                try:
                    bill = ask(client, chosen)
                except httpx.TransportError:
                    return
                moments.append((time.monotonic(), bill))

    with ThreadPoolExecutor(_CALLERS) as pool:
        asked = [pool.submit(some, caller) for caller in range(_CALLERS)]
        time.sleep(FLUSH_SECONDS * 3.5)
        running.process.kill()
        over.set()
        for each in asked:
            each.result()
    running.process.wait()
    return sorted(moments, key=lambda each: each[0])


def show(title: str, requests: int, told: Bill, arrived: Bill) -> None:
    sys.stdout.write(
        f"{title:32} {requests:7} requests; tokens told {told.total():9}, "
        f"billed {arrived.total():9}, differing series {len(told - arrived):3}\n"
    )


if __name__ == "__main__":
    main()
