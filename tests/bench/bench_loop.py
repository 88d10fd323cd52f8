"""What the loop costs: restart with settled models, a burst of new ones, one change among many.

Run as `python tests/bench/bench_loop.py [MODELS]`: a real control plane, the operator as a process
of its own, Jobs' pods played by patches of their status, since no node runs. Prints a table.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock.cli.crds import render_crds
from paddock.kinds import JOBS, LOCAL_MODELS, PODS
from paddock.kube.real import RealCluster, connect
from paddock.local import builds
from paddock.local.control_plane import ControlPlane
from paddock.local.processes import run
from paddock.local.progress import Lines
from support.objects import result_text

NAMESPACE = "bench"
_PATIENCE = 900.0
MUTATING = {"create", "update", "patch", "delete"}


@dataclass
class Operator:
    """The operator as a process under measurement."""

    process: subprocess.Popen[bytes]

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


def start(plane: ControlPlane) -> Operator:
    command = [sys.executable, "-m", "paddock", "operator", "--kubeconfig", str(plane.kubeconfig),
               "--operator-namespace", NAMESPACE, "--health-port", "18081",
               "--writes-per-second", "1000"]  # fmt: skip
    log = (plane.folder / "operator.log").open("ab")
    return Operator(subprocess.Popen(command, stdout=log, stderr=log))


def writes(plane: ControlPlane, since: int = 0) -> list[Any]:
    records = list(plane.audit())[since:]
    return [
        record
        for record in records
        if record.verb in MUTATING
        and record.resource != "leases"
        and "python" in record.agent.lower()
    ]


async def until(what: str, check: Callable[[], Any], *, pause: float = 0.2) -> float:
    began = time.monotonic()
    while not await check():
        if time.monotonic() - began > _PATIENCE:
            raise TimeoutError(what)
        await asyncio.sleep(pause)
    return time.monotonic() - began


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
    ended: set[str] = set()
    while not stop.is_set():
        pods: tuple[Any, ...] = await cluster.list(PODS, NAMESPACE)
        for pod in pods:
            name = pod["metadata"]["name"]
            if name not in ended:
                ended.add(name)
                await cluster._send(  # noqa: SLF001 - the node's own request, not the product's
                    "PATCH",
                    f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/status",
                    _ended(),
                    "application/strategic-merge-patch+json",
                )
        await asyncio.sleep(0.1)


def _ended() -> Any:
    moment = "2026-11-21T00:00:00Z"
    state = {"exitCode": 0, "message": result_text(), "finishedAt": moment, "startedAt": moment}
    container = {
        "name": "pull", "image": "i", "imageID": "", "ready": False, "restartCount": 0,
        "state": {"terminated": state},
    }  # fmt: skip
    return {"status": {"phase": "Succeeded", "containerStatuses": [container]}}


async def bench(plane: ControlPlane, count: int) -> list[tuple[str, str]]:
    cluster = await connect(str(plane.kubeconfig))
    stop = asyncio.Event()
    node = asyncio.create_task(play_node(cluster, stop))
    rows: list[tuple[str, str]] = []
    operator = start(plane)
    began, mark = time.monotonic(), len(list(plane.audit()))
    await apply_models(cluster, count)

    async def all_ready() -> bool:
        return await ready_count(cluster) == count

    await until("the burst is Ready", all_ready)
    seconds, made = time.monotonic() - began, len(writes(plane, mark))
    rows += [
        (f"burst of {count}: objects per second", f"{count / seconds:.1f}"),
        ("burst: CPU-ms per object", f"{operator.cpu_seconds * 1000 / count:.1f}"),
        ("burst: peak RSS, MiB", f"{operator.peak_mib:.0f}"),
        ("burst: writes per model (operator and bench)", f"{made / count:.2f}"),
    ]
    stop.set()
    await node
    operator.stop()
    rows += await restart(plane, cluster, count)
    await cluster.close()
    return rows


async def restart(plane: ControlPlane, cluster: RealCluster, count: int) -> list[tuple[str, str]]:
    """Start over settled objects; then change one and wait for what follows from it."""
    mark = len(list(plane.audit()))
    began, operator = time.monotonic(), start(plane)

    async def led() -> bool:
        return "leading" in (plane.folder / "operator.log").read_text().rpartition("ended")[2]

    await until("the operator leads", led)
    lead = time.monotonic() - began
    latencies = [await change_one(cluster, number) for number in range(min(50, count))]
    own = [w for w in writes(plane, mark) if w.resource in ("localmodels", "jobs")]
    latencies.sort()
    rows = [
        (f"restart with {count}: seconds to lead", f"{lead:.1f}"),
        ("restart: peak RSS, MiB", f"{operator.peak_mib:.0f}"),
        ("restart: CPU-s until all is settled", f"{operator.cpu_seconds:.1f}"),
        ("one change among them: p50, ms", f"{latencies[len(latencies) // 2] * 1000:.0f}"),
        ("one change among them: worst of 50, ms", f"{latencies[-1] * 1000:.0f}"),
        ("restart: writes beyond the 50 changes' own", str(surplus(own))),
    ]
    operator.stop()
    return rows


def surplus(own: list[Any]) -> int:
    changed = {f"m{number:04}" for number in range(50)}
    return len([w for w in own if w.name.split("-pull-")[0] not in changed])


async def change_one(cluster: RealCluster, number: int) -> float:
    """Change one model's source and wait for the Job that pulls the new one."""
    name = f"m{number:04}"
    before = {_name(job) for job in await cluster.list(JOBS, NAMESPACE) if name in _name(job)}
    began = time.monotonic()
    await cluster.apply(model(name, "https://models.example.com/changed.gguf"))
    selector = f"paddock.dev/model={name}"

    async def new_job() -> bool:
        jobs = await cluster.list(JOBS, NAMESPACE, label_selector=selector)
        return bool({_name(job) for job in jobs} - before)

    await until("the new Job", new_job, pause=0.01)
    return time.monotonic() - began


def _name(manifest: Any) -> str:
    return str(manifest["metadata"]["name"])


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


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(Path(folder), report=Lines())
        try:
            plane.start()
            kubectl = builds.ensure(["kubectl"], Lines())["kubectl"] / "kubectl"
            base = [kubectl, "--kubeconfig", plane.kubeconfig]
            run([*base, "create", "namespace", NAMESPACE])
            run([*base, "apply", "-f", "-"], stdin="---\n".join(render_crds().values()))
            run([*base, "wait", "--for=condition=Established", "crd", "--all"])
            rows = asyncio.run(bench(plane, count))
        finally:
            plane.stop()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:>8}")  # noqa: T201 - a bench prints a table
    print(json.dumps(dict(rows)))  # noqa: T201 - and the same for programs


if __name__ == "__main__":
    main()
