"""From zero: what the control path adds to the start of an engine, from arrival to answer.

A real apiserver with its controllers, a real llama-server, a node of our own in place of a kubelet.
Run: `python tests/bench/bench_from_zero.py`. Prints milliseconds.
"""

import asyncio
import secrets
import statistics
import sys
import tempfile
import time
from pathlib import Path

import httpx

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from paddock.cli.crds import render_crds
from paddock.kube.real import connect
from paddock.local.control_plane import ControlPlane
from paddock.local.progress import Lines
from support.plane import kubectl
from support.zero import CHAT, Activator, activator, headers_of, make_pool, node_of

ROUNDS = 10
GOAL_MS = 300.0


async def wake(plane: ControlPlane, front: Activator, folder: Path) -> tuple[float, float, float]:
    """Wake one pool; return the time until the pod was seen, of the engine, and of the rest."""
    namespace = f"b-{secrets.token_hex(4)}"
    kubectl(plane, "create", "namespace", namespace)
    cluster = await connect(str(plane.kubeconfig))
    try:
        async with (
            node_of(cluster, namespace, folder / namespace) as node,
            httpx.AsyncClient(base_url=front.url, timeout=60) as client,
        ):
            make_pool(plane, namespace, node.port, scaling={"min": 0})
            began = time.monotonic()
            answer = await client.post(
                "/v1/chat/completions", json=CHAT, headers=headers_of(namespace)
            )
            ended = time.monotonic()
            answer.raise_for_status()
            warm = time.monotonic()
            (await client.post(f"{node.engine_url}/v1/chat/completions", json=CHAT))
            served = time.monotonic() - warm
            engine = node.answers_at - node.starts_at
            return node.seen_at - began, engine, ended - began - engine - served
    finally:
        await cluster.close()
        kubectl(plane, "delete", "namespace", namespace, "--wait=false")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        place.chmod(0o755)
        plane = ControlPlane(place / "plane", report=Lines())
        try:
            plane.start()
            plane.wait_until_pods_are_admitted()
            kubectl(plane, "apply", "-f", "-", stdin="---\n".join(render_crds().values()))
            kubectl(plane, "wait", "--for=condition=Established", "crd", "--all")
            with activator(plane, place / "activator") as front:
                found = [asyncio.run(wake(plane, front, place)) for _ in range(ROUNDS)]
        finally:
            plane.stop()
    print(f"{'ms':24}{'median':>9}{'worst':>9}")  # noqa: T201 - a bench prints
    for index, name in enumerate(("until the pod is made", "engine start", "control path")):
        values = [1000 * each[index] for each in found]
        print(f"{name:24}{statistics.median(values):9.0f}{max(values):9.0f}")  # noqa: T201
    print(f"goal of the control path: under {GOAL_MS:.0f} ms")  # noqa: T201


if __name__ == "__main__":
    main()
