"""What telemetry costs: CPU for each request, with it and without, in turns of the same run.

Run as `python tests/bench/bench_telemetry.py [REQUESTS] [REAL_REQUESTS]`: a real Envoy and a real
Collector, first before an engine that answers at once, so that nothing hides what Envoy spends, and
then before a real llama-server with a model of half a megabyte, which costs an engine as little as
a model can. Half of the answers are streams. Prints tables, and fails unless every request was
counted.
"""

import random
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock.api.inferencepool import EngineName
from paddock.plan.engines.llama_cpp import PROFILE
from support.billing import KEYS, POOLS, ask_many, front
from support.cpu import cpu_seconds, started_by_us
from support.engine_servers import serving
from support.metered import metered
from support.signals import collecting_requests
from support.stores import pool_of, two_models

_TURNS = 5
_NOBODY = "127.0.0.1:1"
_CALLERS = 4
_WARM = 100
PLAIN = tuple(
    pool.model_copy(update={"spec": pool.spec.model_copy(update={"telemetry": None})})
    for pool in POOLS
)
Ask = Callable[[str, int, int], object]


@dataclass(frozen=True, slots=True)
class Spent:
    """Microseconds of CPU for each request."""

    envoy: float
    collector: float
    engine: float


def ask_real(url: str, count: int, seed: int) -> None:
    """Ask a real engine for 16 tokens each, by several callers at once."""

    def some(caller: int) -> None:
        chosen = random.Random(seed * 100 + caller)  # noqa: S311 - no secret
        headers = {"Authorization": f"Bearer {chosen.choice(list(KEYS.values()))}"}
        with httpx.Client(base_url=url, timeout=60, headers=headers) as client:
            for turn in range(count // _CALLERS):
                body = {
                    "model": "alpha", "prompt": f"tell {chosen.randint(1, 99)}", "max_tokens": 16,
                    "stream": turn % 2 == 0,
                }  # fmt: skip
                client.post("/v1/completions", json=body).raise_for_status()

    with ThreadPoolExecutor(_CALLERS) as pool:
        list(pool.map(some, range(_CALLERS)))


@contextmanager
def answering_at_once(folder: Path) -> Iterator[tuple[str, int | None]]:
    del folder
    with metered() as backend:
        yield backend, None


@contextmanager
def generating(folder: Path) -> Iterator[tuple[str, int | None]]:
    models = two_models(folder, "alpha")
    run = PROFILE.run(pool_of(EngineName.LLAMA_CPP, "alpha", "beta"), models)
    with serving(PROFILE, run, folder / "pod", {"/store": folder / "store"}) as served:
        yield served.url.removeprefix("http://"), served.pid


def measured(
    backend: str, engine: int | None, ask: Ask, requests: int, folder: Path
) -> dict[str, Spent]:
    """Ask in turns without telemetry and with it; return what each way has spent."""
    spent = {"off": [0.0, 0.0, 0.0], "on": [0.0, 0.0, 0.0]}
    each = requests // _TURNS // _CALLERS * _CALLERS
    with (
        collecting_requests(folder / "collector", POOLS) as signals,
        front(folder / "on", signals.address, backend, hurried=False) as on,
        front(folder / "off", _NOBODY, backend, pools=PLAIN) as off,
    ):
        collector = started_by_us(str(folder / "collector"))
        for running in (on, off):
            ask(running.url, _WARM, 99)
        for turn in range(_TURNS):
            for which, running in (("off", off), ("on", on)):
                pids = (running.process.pid, collector, engine)
                before = [cpu_seconds(pid) if pid else 0.0 for pid in pids]
                ask(running.url, each, turn)
                after = [cpu_seconds(pid) if pid else 0.0 for pid in pids]
                spent[which] = [
                    so_far + end - start
                    for so_far, end, start in zip(spent[which], after, before, strict=True)
                ]
        signals.until(
            "every request is counted",
            lambda: signals.sums("paddock.gateway.requests").total() == each * _TURNS + _WARM,
        )
    scale = 1e6 / (each * _TURNS)
    return {
        which: Spent(*(number * scale for number in numbers)) for which, numbers in spent.items()
    }


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    real = int(sys.argv[2]) if len(sys.argv) > 2 else 1_000
    for title, backend, ask, count in (
        ("an engine that answers at once", answering_at_once, ask_many, requests),
        ("llama-server, 16 tokens of a tiny model", generating, ask_real, real),
    ):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            with backend(folder) as (address, engine):
                show(title, count, measured(address, engine, ask, count, folder))


def show(title: str, count: int, found: dict[str, Spent]) -> None:
    off, on = found["off"], found["on"]
    engine = (off.engine + on.engine) / 2
    """The engine does the same in both: what differs is chance."""
    before, after = off.envoy + engine, on.envoy + on.collector + engine
    sys.stdout.write(
        f"{title}; {count} requests each; microseconds of CPU per request\n"
        f"            {'off':>9} {'on':>9} {'more':>7}\n"
        f"Envoy       {off.envoy:9.0f} {on.envoy:9.0f} {on.envoy / off.envoy - 1:7.1%}\n"
        f"Collector   {'-':>9} {on.collector:9.0f}\n"
        f"engine      {off.engine:9.0f} {on.engine:9.0f}\n"
        f"all         {before:9.0f} {after:9.0f} {after / before - 1:7.1%}\n"
    )


if __name__ == "__main__":
    main()
