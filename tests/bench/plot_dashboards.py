"""Pictures of the dashboards: every panel's queries over the last minutes of a Prometheus, plotted.

Run as `python tests/bench/plot_dashboards.py FOLDER [PROMETHEUS_URL [MINUTES]]`; needs matplotlib
beside the development's packages. Without a URL it first makes a Prometheus of its own, and lets it
see a gateway's requests and a llama-server for a minute: the operator's panels stay empty then. One
PNG for each dashboard, and a line for each panel that has no number.
"""

import json
import math
import re
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import matplotlib as mpl

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock.api.inferencepool import EngineName
from paddock.facts import PodFact
from paddock.plan.engines.llama_cpp import PROFILE
from paddock.plan.telemetry.collector_config import TARGETS, build_config, build_targets
from support.billing import POOLS, ask_many, front
from support.collector import running
from support.engine_servers import serving
from support.metered import metered
from support.observability import DASHBOARDS, filled
from support.ports import free_port
from support.prometheus import prometheus
from support.signals import collecting_requests
from support.stores import pool_of, two_models

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import EngFormatter, PercentFormatter

_COLUMNS, _POINTS = 2, 120
_UNITS = {"s": "s", "bytes": "B", "Bps": "B/s", "reqps": "/s"}
_STORY_SECONDS = 60


def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    if len(sys.argv) > 2:
        minutes = float(sys.argv[3]) if len(sys.argv) > 3 else 15
        plot_all(folder, sys.argv[2], minutes * 60, "1m")
        return
    with tempfile.TemporaryDirectory() as name, story(Path(name)) as url:
        plot_all(folder, url, _STORY_SECONDS, "10s")


@contextmanager
def story(folder: Path) -> Iterator[str]:
    """Have requests pass a gateway and a llama-server answer some, and give the Prometheus."""
    folder.chmod(0o755)
    models, pool = two_models(folder, "alpha"), pool_of(EngineName.LLAMA_CPP, "alpha", "beta")
    run, own = PROFILE.run(pool, models), folder / "own"
    own.mkdir()
    with (
        metered() as backend,
        prometheus(folder / "prometheus", {}) as found,
        collecting_requests(folder / "requests", POOLS, metrics_to=found.remote_write) as signals,
        front(folder / "envoy", signals.address, backend) as gateway,
        serving(PROFILE, run, folder / "pod", {"/store": folder / "store"}) as served,
    ):
        port, told = served.url.rpartition(":")[2], free_port()
        pod = PodFact("chat-1", "uid-1", "Running", ip="127.0.0.1", ready=True)
        (own / TARGETS).write_text(build_targets(pool, models, [pod]).replace(":8080", f":{port}"))
        exporter = {"prometheusremotewrite": {"endpoint": found.remote_write}}
        config = build_config(exporter, folder=str(own), own_port=told)
        config = re.sub(r"scrape_(interval|timeout): \d+s", r"scrape_\1: 1s", config)
        with running(own, config, f"http://127.0.0.1:{told}/metrics"):
            end, turn = time.monotonic() + _STORY_SECONDS, 0
            while time.monotonic() < end:
                turn += 1
                ask_many(gateway.url, 20 + 20 * (turn % 5), seed=turn)
                generate(served.url, turn)
            yield found.url


def generate(url: str, turn: int) -> None:
    body = {"model": "alpha", "prompt": "tell me", "max_tokens": 8 + turn % 9}
    httpx.post(f"{url}/v1/completions", json=body, timeout=60).raise_for_status()


def plot_all(folder: Path, url: str, seconds: float, interval: str) -> None:
    for file in DASHBOARDS:
        board = json.loads(file.read_text())
        panels = board["panels"]
        rows = -(-len(panels) // _COLUMNS)
        figure, places = plt.subplots(rows, _COLUMNS, figsize=(14, 3.2 * rows), squeeze=False)
        for panel, place in zip(panels, places.flat, strict=False):
            plot(panel, place, url, seconds, interval)
        for place in places.flat[len(panels) :]:
            place.axis("off")
        figure.suptitle(board["title"])
        figure.tight_layout(rect=(0, 0, 1, 0.99))
        picture = folder / f"{file.stem}.png"
        figure.savefig(picture, dpi=80)
        plt.close(figure)
        sys.stdout.write(f"{picture}\n")


def plot(panel: Any, place: Any, url: str, seconds: float, interval: str) -> None:
    end, drawn, highest = time.time(), 0, 0.0
    for target in panel["targets"]:
        query = filled(target["expr"], interval=interval)
        asked = {"query": query, "start": end - seconds, "end": end, "step": seconds / _POINTS}
        answer = httpx.get(f"{url}/api/v1/query_range", params=asked, timeout=30)
        for series in answer.raise_for_status().json()["data"]["result"]:
            moments = [at - end for at, _ in series["values"]]
            values = [float(value) for _, value in series["values"]]
            highest = max([highest, *(value for value in values if not math.isnan(value))])
            place.plot(
                moments,
                values,
                marker=".",
                markersize=3,
                label=named(target["legendFormat"], series["metric"]),
            )
            drawn += 1
    place.set_title(panel["title"], fontsize="medium")
    place.set_xlim(-seconds, 0)
    place.set_xlabel("seconds ago", fontsize="small")
    place.grid(alpha=0.3)
    show_unit(place, panel["fieldConfig"]["defaults"]["unit"])
    if drawn:
        place.legend(fontsize="x-small", loc="upper left")
        place.set_ylim(0, 1.3 * highest or 1)
    else:
        place.text(0.5, 0.5, "no number", ha="center", va="center", transform=place.transAxes)
        sys.stdout.write(f"no number: {panel['title']}\n")


def named(legend: str, labels: Mapping[str, str]) -> str:
    """Return what Grafana would write beside a line."""
    return re.sub(r"\{\{(\w+)\}\}", lambda found: labels.get(found[1], ""), legend)


def show_unit(place: Any, unit: str) -> None:
    """Write the numbers of an axis as Grafana does for its unit."""
    if unit == "percentunit":
        place.yaxis.set_major_formatter(PercentFormatter(1))
    elif unit != "short":
        place.yaxis.set_major_formatter(EngFormatter(_UNITS[unit], sep=" "))


if __name__ == "__main__":
    main()
