"""What the loop costs: restart with settled models, a burst of new ones, one change among many.

Run as `python tests/bench/bench_loop.py [MODELS]`: a real control plane, the operator as a process
of its own, Jobs' pods played by patches of their status, since no node runs. Prints a table.
"""

import asyncio
import http.client
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
from http import HTTPStatus
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock import names
from paddock.api.localmodel import LocalModel
from paddock.cli.crds import render_crds
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
_PATIENCE = 900.0


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
    return Operator(subprocess.Popen(command, stdout=log, stderr=log))


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
    operator = start(plane)
    await until("the operator leads", operator.leads)
    idle, began = operator.cpu_seconds, time.monotonic()
    await apply_models(cluster, count)

    async def all_ready() -> bool:
        return await ready_count(cluster) == count

    await until("the burst is Ready", all_ready, pause=1.0)
    seconds, cpu = time.monotonic() - began, operator.cpu_seconds - idle
    stop.set()
    await node
    numbers = await operator.numbers()
    rows = [
        (f"burst of {count}: objects per second", f"{count / seconds:.1f}"),
        ("burst: CPU-ms per object", f"{cpu * 1000 / count:.1f}"),
        ("burst: peak RSS, MiB", f"{operator.peak_mib:.0f}"),
        ("burst: writes per model, events among them", f"{numbers['PATCH'] / count:.2f}"),
        (
            "burst: KiB received per model, watches left out",
            f"{numbers['received'] / count / 1024:.1f}",
        ),
        ("burst: passes per model", f"{numbers['passes'] / count:.1f}"),
    ]
    operator.stop()
    rows += await restart(plane, cluster, count)
    await cluster.close()
    return rows


async def restart(plane: ControlPlane, cluster: RealCluster, count: int) -> list[tuple[str, str]]:
    """Start over settled objects; then change one at a time and wait for what follows from it."""
    began, operator = time.monotonic(), start(plane)
    await until("the operator is ready", operator.is_ready, pause=0.05)
    ready = time.monotonic() - began
    await until("the operator leads", operator.leads)

    async def settled() -> bool:
        numbers = await operator.numbers()
        return numbers["depth"] == 0 and numbers["passes"] >= count

    await until("every object was looked at", settled)
    looked, cpu = time.monotonic() - began, operator.cpu_seconds
    written = (await operator.numbers())["PATCH"]
    latencies = sorted([await change_one(cluster, number) for number in range(min(100, count))])
    rows = [
        (f"restart with {count}: seconds to ready", f"{ready:.1f}"),
        ("restart: seconds until every object was looked at", f"{looked:.1f}"),
        ("restart: CPU-s until then", f"{cpu:.1f}"),
        ("restart: writes until then", f"{written:.0f}"),
        ("restart: peak RSS, MiB", f"{operator.peak_mib:.0f}"),
        (f"one change among {2 * count}: p50, ms", f"{latencies[len(latencies) // 2] * 1000:.0f}"),
        ("one change: p99, ms", f"{latencies[len(latencies) * 99 // 100] * 1000:.0f}"),
        ("one change: worst of 100, ms", f"{latencies[-1] * 1000:.0f}"),
    ]
    operator.stop()
    return rows


async def change_one(cluster: RealCluster, number: int) -> float:
    """Change one model's source and wait for the Job that pulls the new one."""
    began = time.monotonic()
    changed = LocalModel.model_validate(
        await cluster.apply(model(f"m{number:04}", "https://models.example.com/changed.gguf"))
    )
    job = names.pull_job_name(changed.metadata.name, pull_hash(changed, claim_of(changed)))

    async def made() -> bool:
        return await cluster.get(JOBS, NAMESPACE, job) is not None

    await until("the new Job", made, pause=0.01)
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
            run([*base, "wait", f"--for={ESTABLISHED}", "crd", "--all"])
            rows = asyncio.run(bench(plane, count))
        finally:
            plane.stop()
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value:>8}")  # noqa: T201 - a bench prints a table
    print(json.dumps(dict(rows)))  # noqa: T201 - and the same for programs


if __name__ == "__main__":
    main()
