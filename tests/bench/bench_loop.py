"""What the loop costs: a burst of models, a restart with them settled, one change among twice as
many.

Run as `python tests/bench/bench_loop.py [MODELS [many | change]]`: a real control plane, the
operator as a process of its own, Jobs' pods played by patches of their status, since no node runs.
Prints a table, and with each part how busy the machine was.
"""

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock import names
from paddock.api.localmodel import LocalModel
from paddock.cli.crds import render_crds
from paddock.errors import NotFoundError
from paddock.facts import Kind
from paddock.kinds import JOBS, LOCAL_MODELS, PODS
from paddock.kube.real import RealCluster, connect
from paddock.local import builds
from paddock.local.control_plane import ControlPlane
from paddock.local.processes import run
from paddock.local.progress import Lines
from paddock.plan.model import claim_of
from paddock.plan.pull_job import pull_hash
from support.objects import result_text

ESTABLISHED = 'jsonpath={.status.conditions[?(@.type=="Established")].status}=True'
NAMESPACE, PORT = "bench", 18081
CHANGES = 200
_PATIENCE = 900.0
_IDLE_SECONDS, _IDLE_CPU = 5.0, 0.25


Part = Callable[[ControlPlane, RealCluster, int], Awaitable[list[tuple[str, str]]]]
"""Measures on a control plane with so many models, shows the table's rows and returns them."""


@dataclass
class Operator:
    """The operator as a process under measurement."""

    process: subprocess.Popen[bytes]
    began: float
    idle: float = 0.0
    laps: dict[str, float] = field(default_factory=dict)

    def mark(self) -> None:
        """Begin to count now."""
        self.began, self.idle = time.monotonic(), self.cpu_seconds

    def lap(self, name: str) -> None:
        self.laps[name] = time.monotonic() - self.began

    @property
    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    @property
    def peak_mib(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) / 1024

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    async def is_ready(self) -> bool:
        return (await asyncio.to_thread(asked, "/readyz"))[0] == HTTPStatus.OK

    async def leads(self) -> bool:
        return await asyncio.to_thread(asked, "/readyz") == (HTTPStatus.OK, "leader")

    async def numbers(self) -> dict[str, float]:
        """Return the operator's own counts since it started."""
        _, text = await asyncio.to_thread(asked, "/metrics")
        found = re.findall(r"^(paddock_[a-z_]+)(?:\{(.*)\})? ([0-9.e+]+)$", text, re.MULTILINE)

        def total(name: str, labels: str = "") -> float:
            return sum(float(value) for key, marks, value in found
                       if key.startswith(name) and labels in marks)  # fmt: skip

        return {
            "PATCH": total("paddock_api_requests", "PATCH"),
            "GET": total("paddock_api_requests", "GET"),
            "received": total("paddock_api_received"),
            "passes": total("paddock_passes"),
            "depth": total("paddock_queue_depth"),
        }


def asked(path: str) -> tuple[int, str]:
    """Ask the operator's own server; 0 where nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def start(plane: ControlPlane) -> Operator:
    command = [sys.executable, "-m", "paddock", "operator", "--kubeconfig", str(plane.kubeconfig),
               "--operator-namespace", NAMESPACE, "--health-port", str(PORT),
               "--writes-per-second", "1000"]  # fmt: skip
    log = (plane.folder / "operator.log").open("ab")
    return Operator(subprocess.Popen(command, stdout=log, stderr=log), time.monotonic())


async def until(what: str, check: Callable[[], Any], *, pause: float = 0.2) -> float:
    began = time.monotonic()
    while not await check():
        if time.monotonic() - began > _PATIENCE:
            raise TimeoutError(what)
        await asyncio.sleep(pause)
    return time.monotonic() - began


async def count_of(cluster: RealCluster, kind: Kind) -> int:
    """Count the objects of a kind by a list of one."""
    path = f"/apis/{kind.group}/{kind.version}/namespaces/{NAMESPACE}/{kind.plural}?limit=1"
    page: Any = await cluster._send("GET", path, None)  # noqa: SLF001 - not the product's request
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))


async def ready_count(cluster: RealCluster) -> int:
    models: tuple[Any, ...] = await cluster.list(LOCAL_MODELS, NAMESPACE)
    return sum(
        any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in model.get("status", {}).get("conditions", [])
        )
        for model in models
    )


async def play_node(cluster: RealCluster, stop: asyncio.Event) -> None:
    """Let every pull pod end well, as a kubelet would report it."""
    while not stop.is_set():
        pods: tuple[Any, ...] = await cluster.list(
            PODS, NAMESPACE, field_selector="status.phase=Pending"
        )
        for pod in pods:
            name = pod["metadata"]["name"]
            with contextlib.suppress(NotFoundError):
                await cluster._send(  # noqa: SLF001 - the node's own request, not the product's
                    "PATCH",
                    f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/status",
                    _ended(),
                    "application/strategic-merge-patch+json",
                )
        await asyncio.sleep(0.2)


def _ended() -> Any:
    moment = "2026-11-21T00:00:00Z"
    state = {"exitCode": 0, "message": result_text(), "finishedAt": moment, "startedAt": moment}
    container = {
        "name": "pull", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
        "state": {"terminated": state},
    }  # fmt: skip
    return {"status": {"phase": "Succeeded", "containerStatuses": [container]}}


async def many(plane: ControlPlane, cluster: RealCluster, count: int) -> list[tuple[str, str]]:
    """Measure a burst of models, and a restart with them settled."""
    first = await burst(plane, cluster, count)
    show(first)
    second = await restart(plane, count)
    show(second)
    return [*first, *second]


def show(rows: list[tuple[str, str]]) -> None:
    for name, value in rows:
        print(f"{name:<64}  {value:>8}", flush=True)  # noqa: T201 - a bench prints a table


async def begun(plane: ControlPlane, cluster: RealCluster, count: int) -> Operator:
    """Start an operator and make models; return it when every model has its Job."""
    operator = start(plane)
    await until("the operator leads", operator.leads)
    operator.mark()
    await apply_models(cluster, count)

    async def all_pulling() -> bool:
        return await count_of(cluster, JOBS) >= count

    await until("every model has its Job", all_pulling)
    operator.lap("pulling")
    return operator


async def burst(plane: ControlPlane, cluster: RealCluster, count: int) -> list[tuple[str, str]]:
    """Make many models at once, and see all of them through."""
    stop = asyncio.Event()
    node = asyncio.create_task(play_node(cluster, stop))
    operator = await begun(plane, cluster, count)

    async def all_ready() -> bool:
        return await ready_count(cluster) == count

    await until("the burst is Ready", all_ready, pause=2.0)
    operator.lap("ready")
    stop.set()
    await node
    cpu, numbers, laps = (
        operator.cpu_seconds - operator.idle,
        await operator.numbers(),
        operator.laps,
    )
    rows = [
        (f"burst of {count}: objects per second, to their Jobs", f"{count / laps['pulling']:.1f}"),
        ("burst: objects per second, to Ready", f"{count / laps['ready']:.1f}"),
        ("burst: CPU-ms per object", f"{cpu * 1000 / count:.1f}"),
        ("burst: peak RSS, MiB", f"{operator.peak_mib:.0f}"),
        ("burst: writes per model, events among them", f"{numbers['PATCH'] / count:.2f}"),
        ("burst: reads per model", f"{numbers['GET'] / count:.2f}"),
        (
            "burst: KiB received per model, watches left out",
            f"{numbers['received'] / count / 1024:.1f}",
        ),
        ("burst: passes per model", f"{numbers['passes'] / count:.1f}"),
        ("burst: load average at its end", f"{os.getloadavg()[0]:.1f}"),
    ]
    operator.stop()
    return rows


async def restart(plane: ControlPlane, count: int) -> list[tuple[str, str]]:
    """Start over settled objects."""
    operator = start(plane)
    began = operator.began
    await until("the operator is ready", operator.is_ready, pause=0.05)
    ready = time.monotonic() - began
    await looked(operator, count)
    rows = [
        (f"restart with {count}: seconds to ready", f"{ready:.1f}"),
        ("restart: seconds until every object was looked at", f"{time.monotonic() - began:.1f}"),
        ("restart: CPU-s until then", f"{operator.cpu_seconds:.1f}"),
    ]
    await quiet(operator)
    rows += [
        ("restart: CPU-s until nothing is left to do", f"{operator.cpu_seconds:.1f}"),
        ("restart: writes until then", f"{(await operator.numbers())['PATCH']:.0f}"),
        ("restart: peak RSS, MiB", f"{operator.peak_mib:.0f}"),
        ("restart: load average at its end", f"{os.getloadavg()[0]:.1f}"),
    ]
    operator.stop()
    return rows


async def looked(operator: Operator, count: int) -> None:
    """Wait until every object had its pass."""

    async def settled() -> bool:
        numbers = await operator.numbers()
        return numbers["depth"] == 0 and numbers["passes"] >= count

    await until("the operator leads", operator.leads)
    await until("every object was looked at", settled)


async def quiet(operator: Operator) -> None:
    """Wait until some seconds cost the operator next to nothing."""

    async def idles() -> bool:
        before = operator.cpu_seconds
        await asyncio.sleep(_IDLE_SECONDS)
        return operator.cpu_seconds - before < _IDLE_CPU

    await until("the operator is quiet", idles)


async def change(plane: ControlPlane, cluster: RealCluster, count: int) -> list[tuple[str, str]]:
    """Change one of many at a time: beside the first work of a new process, and when it is over.

    No controller makes pods here, so that nobody else is busy: each model has a claim and a Job.
    """
    made = await begun(plane, cluster, count)
    await quiet(made)
    made.stop()
    operator = start(plane)
    await looked(operator, count)
    changes = min(CHANGES, count)
    busy = [await change_one(cluster, each) for each in range(changes // 2)]
    await quiet(operator)
    calm = [await change_one(cluster, each) for each in range(changes // 2, changes)]
    rows = [
        *percentiles(f"one change among {count}, just restarted", busy),
        *percentiles(f"one change among {count}", calm),
        ("one change: peak RSS, MiB", f"{operator.peak_mib:.0f}"),
        ("one change: load average at its end", f"{os.getloadavg()[0]:.1f}"),
    ]
    operator.stop()
    show(rows)
    return rows


def percentiles(what: str, latencies: list[float]) -> list[tuple[str, str]]:
    ordered = [seconds * 1000 for seconds in sorted(latencies)]
    return [
        (f"{what}: p50, ms", f"{ordered[len(ordered) // 2]:.0f}"),
        (f"{what}: p99, ms", f"{ordered[len(ordered) * 99 // 100]:.0f}"),
        (f"{what}: worst of {len(ordered)}, ms", f"{ordered[-1]:.0f}"),
    ]


async def change_one(cluster: RealCluster, number: int) -> float:
    """Change one model's source and wait for the Job that pulls the new one."""
    began = time.monotonic()
    changed = LocalModel.model_validate(
        await cluster.apply(model(f"m{number:04}", "https://models.example.com/changed.gguf"))
    )
    job = names.pull_job_name(changed.metadata.name, pull_hash(changed, claim_of(changed)))

    async def made() -> bool:
        return await cluster.get(JOBS, NAMESPACE, job) is not None

    await until("the new Job", made, pause=0.02)
    return time.monotonic() - began


async def apply_models(cluster: RealCluster, count: int) -> None:
    for first in range(0, count, 50):
        numbers = range(first, min(first + 50, count))
        await asyncio.gather(
            *(cluster.apply(model(f"m{each:04}", "https://models.example.com/a.gguf"))
              for each in numbers)
        )  # fmt: skip


def model(name: str, source: str) -> Any:
    return {
        "apiVersion": "paddock.dev/v1alpha1",
        "kind": "LocalModel",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"source": source},
    }


async def measured(plane: ControlPlane, part: Part, count: int) -> list[tuple[str, str]]:
    cluster = await connect(str(plane.kubeconfig))
    try:
        return await part(plane, cluster, count)
    finally:
        await cluster.close()


def on_plane(part: Part, count: int, *, controllers: bool) -> list[tuple[str, str]]:
    """Measure on a control plane of its own."""
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(Path(folder), report=Lines())
        try:
            plane.start(controllers=controllers)
            kubectl = builds.ensure(["kubectl"], Lines())["kubectl"] / "kubectl"
            base = [kubectl, "--kubeconfig", plane.kubeconfig]
            run([*base, "create", "namespace", NAMESPACE])
            run([*base, "apply", "-f", "-"], stdin="---\n".join(render_crds().values()))
            run([*base, "wait", f"--for={ESTABLISHED}", "crd", "--all"])
            return asyncio.run(measured(plane, part, count))
        finally:
            plane.stop()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    parts = sys.argv[2:] or ["many", "change"]
    rows: list[tuple[str, str]] = []
    if "many" in parts:
        rows += on_plane(many, count, controllers=True)
    if "change" in parts:
        rows += on_plane(change, 2 * count, controllers=False)
    print(json.dumps(dict(rows)))  # noqa: T201 - the same for programs


if __name__ == "__main__":
    main()
