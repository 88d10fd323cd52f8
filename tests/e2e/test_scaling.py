"""From zero, up and back on a full node, through the gateway: woken once, nobody is failed."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from paddock import names
from paddock.drainer import connections
from support.world import Manifest, World, inference_pool, local_model

pytestmark = pytest.mark.e2e
ACTIVATOR = f"system:serviceaccount:paddock-system:{names.ACTIVATOR}"
SMALL = {"memory": "768Mi", "cpu": "50m"}
CALLERS, USERS = 100, 8
_SECONDS = 120.0
_AN_IDLE_REPLICA_ENDS = 32.0
PATH = "/v1/chat/completions"
CHAT = {"model": "tiny", "max_tokens": 4, "messages": [{"role": "user", "content": "hello"}]}
LONG = {**CHAT, "max_tokens": 400, "ignore_eos": True, "stream": True}
_END_OF_STREAM = "data: [DONE]"
GOES_FIRST = {
    "metadata": {"annotations": {"controller.kubernetes.io/pod-deletion-cost": "-1"}},
}


def pool(**spec: object) -> Manifest:
    return inference_pool("cpp", "LlamaCpp", "tiny", hardware=SMALL, **spec)


def test_pool_wakes_once_for_hundred_callers_shrinks_without_failing_one_and_sleeps(
    world: World, source: str
) -> None:
    world.apply(local_model("tiny", source, storage={"size": "1Gi"}), pool(scaling={"min": 0}))
    asleep = world.until_ready("inferencepool", "cpp")["status"]
    assert (asleep["replicas"], asleep["scaling"]["desired"], asked(world)) == (0, 0, 0)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    with httpx.Client(base_url=world.gateway, timeout=_SECONDS, limits=limits) as client:
        failures = ask_at_once(client)
        assert (len(failures), set(failures)) == (CALLERS, {None})
        assert scale_ups(world) == 1
        with asking(client) as seen:
            world.apply(pool(scaling={"max": 2, "targetInFlight": 2}))
            world.until("demand makes two", lambda: len(serving(world)) == 2)
            name = serving(world)[0]["metadata"]["name"]
            world.patch("pod", name, GOES_FIRST)
            with held_up_amid_answers(world, engine_of(world, name)):
                world.apply(pool(replicas=1))
                world.until("it is told to end", lambda: leaving(world) == [name])
                idle_is_over = time.monotonic() + _AN_IDLE_REPLICA_ENDS
                seen.over.set()
                world.apply(pool(scaling={"min": 0, "idle": {"zeroAfter": "10s"}}))
                world.until("the pool sleeps", lambda: asked(world) == 0)
                world.until("an idle one would be gone", lambda: time.monotonic() > idle_is_over)
        assert seen.failed == []
        world.until("the last answer was its end", lambda: world.get("pod", name) is None)


def ask_at_once(client: httpx.Client) -> list[str | None]:
    """Ask a hundred times, every other one for a stream, and return what went wrong with each."""
    together = threading.Barrier(CALLERS)

    def ask(caller: int) -> str | None:
        together.wait(_SECONDS)
        return failure_of(client, {**CHAT, "stream": caller % 2 == 0})

    with ThreadPoolExecutor(CALLERS) as callers:
        return list(callers.map(ask, range(CALLERS)))


def failure_of(client: httpx.Client, body: dict[str, object]) -> str | None:
    """Ask once, over a connection of its own, and return what went wrong, if anything did."""
    try:
        answer = client.post(PATH, json=body)
    except httpx.HTTPError as error:
        return f"{type(error).__name__}: {error}"
    said = answer.text.rstrip()
    whole = said.endswith(_END_OF_STREAM) if body.get("stream") else '"choices"' in said
    return None if whole and answer.status_code == httpx.codes.OK else said[-200:]


def scale_ups(world: World) -> int:
    """Return how often the activator wrote a scale in this namespace."""
    return len(
        [
            record
            for record in world.cluster.plane.audit()
            if record.user == ACTIVATOR
            and record.namespace == world.namespace
            and (record.verb, record.subresource) == ("patch", "scale")
        ]
    )


def asked(world: World) -> int:
    return int((world.get("deployment", "cpp") or {})["spec"]["replicas"])


def engines(world: World, *, ending: bool) -> list[Manifest]:
    pods = world.every("pods", "paddock.dev/pool=cpp")
    return [pod for pod in pods if ("deletionTimestamp" in pod["metadata"]) is ending]


def serving(world: World) -> list[Manifest]:
    """Return the engines that are ready."""
    return [
        pod
        for pod in engines(world, ending=False)
        for condition in pod["status"].get("conditions", ())
        if (condition["type"], condition["status"]) == ("Ready", "True")
    ]


def leaving(world: World) -> list[str]:
    return [pod["metadata"]["name"] for pod in engines(world, ending=True)]


def engine_of(world: World, pod: str) -> int:
    """Return the process of a pod's engine, told by its control group."""
    uid = (world.get("pod", pod) or {})["metadata"]["uid"]
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (process / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"llama-server"):
                group = (process / "cgroup").read_text().replace("_", "-")
                if uid in group:
                    return int(process.name)
    raise AssertionError("the pod has no engine")


@contextmanager
def held_up_amid_answers(world: World, engine: int) -> Iterator[None]:
    """Hold an engine up while the gateway is connected to it, which stays so."""

    envoy = world.every("pods", "app.kubernetes.io/component=gateway")[0]["status"]["podIP"]

    def held_up() -> bool:
        os.kill(engine, signal.SIGSTOP)
        if callers_of(engine, envoy) == 0:
            os.kill(engine, signal.SIGCONT)
            return False
        return True

    world.until("it is amid answers", held_up)
    try:
        yield
        assert callers_of(engine, envoy) > 0
    finally:
        os.kill(engine, signal.SIGCONT)


def callers_of(engine: int, envoy: str) -> int:
    """Count the Envoy's connections to an engine; the kubelet and the operator look in as well."""
    told = socket.inet_aton(envoy)[::-1].hex().upper()
    tables = [Path(f"/proc/{engine}/net/{name}").read_text() for name in ("tcp", "tcp6")]
    lines = [line for table in tables for line in table.splitlines()[1:] if f"{told}:" in line]
    return connections(["\n".join(["", *lines])], names.ENGINE_PORT)


@dataclass
class Seen:
    """What callers saw; they ask on until it is over."""

    failed: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def asking(client: httpx.Client) -> Iterator[Seen]:
    """Ask for streams without a pause while the block runs; the last ones are read to their end."""
    seen = Seen()

    def ask() -> None:
        while not seen.over.is_set():
            failure = failure_of(client, LONG)
            if failure is not None:
                seen.failed.append(failure)

    threads = [threading.Thread(target=ask) for _ in range(USERS)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        seen.over.set()
        for thread in threads:
            thread.join()
