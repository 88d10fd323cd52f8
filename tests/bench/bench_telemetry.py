"""What telemetry costs a gateway: CPU of its Envoy for each request, with it and without, in turns.

Run as `python tests/bench/bench_telemetry.py [REQUESTS]`: a real Envoy, a real Collector, and an
engine that answers at once, so that nothing hides the cost. Half of the answers are streams. Prints
a table, and whether the sums that arrived are those of the clients.
"""

import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from support.billing import POOLS, ask_many, billed, front
from support.envoys import Gateway
from support.metered import metered
from support.signals import collecting_requests

_TURNS = 5
_NOBODY = "127.0.0.1:1"


def cpu_seconds(running: Gateway) -> float:
    fields = Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    plain = tuple(
        pool.model_copy(update={"spec": pool.spec.model_copy(update={"telemetry": None})})
        for pool in POOLS
    )
    cost = {"off": 0.0, "on": 0.0}
    with tempfile.TemporaryDirectory() as name, metered() as backend:
        folder = Path(name)
        with (
            collecting_requests(folder / "collector", POOLS) as signals,
            front(folder / "on", signals.address, backend) as on,
            front(folder / "off", _NOBODY, backend, pools=plain) as off,
        ):
            told = ask_many(on.url, 200, seed=99)
            ask_many(off.url, 200, seed=99)
            for turn in range(_TURNS):
                for which, running in (("off", off), ("on", on)):
                    before = cpu_seconds(running)
                    answered = ask_many(running.url, requests // _TURNS, seed=turn)
                    cost[which] += cpu_seconds(running) - before
                    told += answered if which == "on" else type(told)()
            signals.until("every token is billed", lambda: billed(signals) == told)
    each = {which: seconds / (requests // _TURNS * _TURNS) * 1e6 for which, seconds in cost.items()}
    sys.stdout.write(
        f"{requests} requests each\n"
        f"telemetry off  {each['off']:7.1f} us of CPU per request\n"
        f"telemetry on   {each['on']:7.1f} us of CPU per request\n"
        f"more           {each['on'] / each['off'] - 1:7.1%}\n"
        f"tokens billed  {told.total()}, equal to the clients' own sum\n"
    )


if __name__ == "__main__":
    main()
