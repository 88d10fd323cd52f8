"""The whole operator, behind a gate that breaks each of its writes, over a played node.

Each story brings a model and a pool from nothing to Ready and rolls the pool out anew. Whatever
was broken on the way, it ends with the same objects as the undisturbed one, and then nothing is
written.
"""

import asyncio
import os
import re
import secrets
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from contract.conftest import kubectl
from paddock import names
from paddock.kinds import CONFIG_MAPS, DEPLOYMENTS, EVENTS, INFERENCE_POOLS, LOCAL_MODELS
from paddock.kube.real import connect
from paddock.local.control_plane import ControlPlane
from support.announce import Announce
from support.at_once import AtOnce
from support.endings import Ending, differences, ending_of
from support.gate import PASS, Gate, Request, Rule, Verdict
from support.loop_world import LoopWorld
from support.played_node import PlayedNode
from support.told_writes import told_writes

pytestmark = pytest.mark.contract
SOURCE = "https://models.example.com/tiny.gguf"
QUICK = {
    "resync": 1.5, "progress_poll": 0.3, "engine_poll": 0.3, "settle": 0.5,
    "lease_duration": 15.0, "lease_renew_deadline": 10.0,
}  # fmt: skip
"""A Lease of production's length: who follows has the same identity, and waits for none."""
PATIENCE = 240.0
_COURTESY = re.compile(r"/(events|pods)/")
"""Writes that end when nothing asks for them any more: news, and nudges of a gateway's pods."""
_JOB = re.compile(r"tiny-pull-[0-9a-f]{10}")
MODEL_BUDGET, POOL_BUDGET = 12, 8
"""Writes from nothing to Ready that the product promises to need at most, events among them.

Each further replica may become ready by itself, which is told: one write more.
"""
GATEWAY_BUDGET = 7
"""Writes of a namespace's gateway for its first pool: its four objects, the routes when the pool
has pods, and the nudges of its one pod.
"""

SLOW_STEP = 1.5
"""Longer than what is gathered in one pass, so that every state on the way is one to be told."""
BUDGETS = (("model", MODEL_BUDGET), ("pool", POOL_BUDGET), ("gateway", GATEWAY_BUDGET))


@asynccontextmanager
async def a_world(
    plane: ControlPlane, folder: Path, *, step: float = 0.0
) -> AsyncIterator[LoopWorld]:
    """Give a namespace of its own, with a gate and a node that takes so long for each step."""
    namespace = f"t-{secrets.token_hex(4)}"
    await asyncio.to_thread(kubectl, plane, "create", "namespace", namespace)
    gate, cluster = Gate(plane), await connect(str(plane.kubeconfig))
    await gate.start()
    world = LoopWorld(gate, cluster, namespace, folder)
    try:
        async with PlayedNode(cluster, namespace, names.claim_name("tiny"), step=step):
            try:
                yield world
            finally:
                world.stop()  # before what it asks: nobody connects to a server that ends
    finally:
        await gate.stop()
        await cluster.close()
        await asyncio.to_thread(kubectl, plane, "delete", "namespace", namespace, "--wait=false")


def start(world: LoopWorld, name: str = "one") -> None:
    """Start an operator under the same identity each time: the Lease is another test's story."""
    world.start(name, toy=False, delays=QUICK)


def pool(world: LoopWorld, context: int, replicas: int = 2) -> Any:
    spec = {
        "engine": {"name": "LlamaCpp"},
        "models": [{"name": "tiny"}],
        "replicas": replicas,
        "hardware": {"memory": "1Gi"},
        "serving": {"contextLength": context},
    }
    return {
        "apiVersion": names.API_VERSION,
        "kind": names.INFERENCE_POOL,
        "metadata": {"name": "chat", "namespace": world.namespace},
        "spec": spec,
    }


async def are_ready(world: LoopWorld, *wanted: Any) -> bool:
    for kind, name in wanted:
        found: Any = await world.cluster.get(kind, world.namespace, name)
        status = (found or {}).get("status", {})
        current = status.get("observedGeneration") == found["metadata"]["generation"]
        ready = any(
            each["type"] == "Ready" and each["status"] == "True"
            for each in status.get("conditions", [])
        )
        if not (current and ready):
            return False
    return True


async def bring_up(world: LoopWorld) -> None:
    """Make a model and a pool, and see both Ready.

    A pull that begins when a pool is known is told what the pool has room for: it is not, here.
    """
    await world.make("tiny", SOURCE)
    await world.until("the pull begins", lambda: is_pulled(world), PATIENCE)
    await world.cluster.apply(pool(world, 1024))
    both = (LOCAL_MODELS, "tiny"), (INFERENCE_POOLS, "chat")
    await world.until("both are Ready", lambda: are_ready(world, *both), PATIENCE)


async def is_pulled(world: LoopWorld) -> bool:
    found: Any = await world.cluster.document(f"/apis/batch/v1/namespaces/{world.namespace}/jobs")
    return bool(found["items"])


async def tell(world: LoopWorld) -> Ending:
    """Run the whole story and return how it ended, after two rounds of lists without a write."""
    await bring_up(world)
    await world.cluster.apply(pool(world, 2048))
    rolled = (INFERENCE_POOLS, "chat")
    await world.until("the rollout is Ready", lambda: are_ready(world, rolled), PATIENCE)
    await world.until("no replica is left over", lambda: is_whole(world), PATIENCE)
    await rest(world)
    return await ending_of(world.cluster, world.namespace)


async def is_whole(world: LoopWorld) -> bool:
    found: Any = await world.cluster.get(DEPLOYMENTS, world.namespace, "chat")
    status = found["status"]
    counts = [status.get(f"{kind}eplicas") for kind in ("r", "updatedR", "readyR", "availableR")]
    return (
        counts == [2, 2, 2, 2] and status["observedGeneration"] == found["metadata"]["generation"]
    )


async def rest(world: LoopWorld) -> None:
    """Wait until two complete rounds of lists brought no write.

    Lists by which an operator starts bring none whatever there is to do: they do not count.
    """
    led: dict[int, float] = {}

    async def rested() -> bool:
        newest = world.processes[-1]
        if "leading" not in newest.log:
            return False
        began = led.setdefault(newest.popen.pid, time.monotonic())
        last = max((request.at for request in world.gate.writes), default=0.0)
        lists = Counter(
            request.path
            for request in world.gate.requests
            if request.is_list and request.at > max(last, began)
        )
        return lists[path_of_config_maps(world)] >= 3

    await world.until("two rounds of lists without a write", rested, PATIENCE)


def path_of_config_maps(world: LoopWorld) -> str:
    return f"/api/v1/namespaces/{world.namespace}/{CONFIG_MAPS.plural}"


@dataclass(frozen=True)
class Story:
    """How a story ended, what was written in it, and what its rule did."""

    ending: Ending
    writes: list[Request]
    done: Counter[str]


RuleOf = Callable[[Counter[str]], Rule]


@pytest.fixture(scope="module")
def stories(control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> AtOnce[Story]:
    """Tell the story once for each way to refuse a write or its answer, and once undisturbed."""

    async def story(name: str, rule_of: RuleOf) -> Story:
        done = Counter[str]()
        async with a_world(control_plane, tmp_path_factory.mktemp(name)) as world:
            world.gate.rule = rule_of(done)
            start(world)
            return Story(await tell(world), world.writes(), done)

    told = {name: partial(story, name, rule_of) for name, rule_of in BROKEN.items()}
    return AtOnce(told, most=4)


def once_each(act: Any) -> Rule:
    """Do something at the first try of every deed that is a write."""
    seen: set[str] = set()

    def rule(request: Request) -> Verdict:
        if not request.is_write or request.deed in seen:
            return PASS
        seen.add(request.deed)
        verdict: Verdict = act(request)
        return verdict

    return rule


def dying(world: LoopWorld, mode: str, kills: list[str]) -> Rule:
    """Kill the operator at every write: before it is sent, or when it is done and unanswered."""

    def killed(request: Request) -> Verdict:
        def kill() -> None:
            kills.append(request.deed)
            os.kill(world.processes[-1].popen.pid, signal.SIGKILL)
            world.processes[-1].popen.wait(10)
            start(world)

        if mode == "before":
            return Verdict(status=503, before=kill)
        return Verdict(after=kill, lose_answer=True)

    return once_each(killed)


def refusing(status: int) -> RuleOf:
    """Refuse every write twice."""

    def rule_of(done: Counter[str]) -> Rule:
        def rule(request: Request) -> Verdict:
            if not request.is_write or done[request.path] >= 2:
                return PASS
            done[request.path] += 1
            return Verdict(status=status, retry_after=1 if status == 429 else None)

        return rule

    return rule_of


REFUSALS = (403, 409, 422, 429, 500, 503)
BROKEN: dict[str, RuleOf] = {
    "undisturbed": lambda _: lambda _request: PASS,
    "unanswered": lambda _: once_each(lambda _request: Verdict(lose_answer=True)),
    **{f"refused-{status}": refusing(status) for status in REFUSALS},
}


@pytest.mark.parametrize("mode", ["before", "after"])
async def test_operator_killed_at_every_write_ends_the_same(
    control_plane: ControlPlane, stories: AtOnce[Story], tmp_path: Path, mode: str
) -> None:
    undisturbed, kills = stories["undisturbed"], list[str]()
    async with a_world(control_plane, tmp_path) as world:
        world.gate.rule = dying(world, mode, kills)
        start(world)
        assert differences(await tell(world), undisturbed.ending) == []
        assert objects_of(world.writes()) == objects_of(undisturbed.writes)
    assert len(kills) >= len(objects_of(undisturbed.writes))


def objects_of(requests: list[Request]) -> set[str]:
    """Return the kinds and names that were written, as they are the same in two runs."""
    paths = (request.path for request in requests if not _COURTESY.search(request.path))
    written = (path.split("/namespaces/")[1].partition("/")[2] for path in paths)
    return {_JOB.sub("tiny-pull-PLAN", path) for path in written}


async def test_model_and_pool_keep_to_their_budgets_of_writes(
    control_plane: ControlPlane, tmp_path: Path, announce: Announce
) -> None:
    async with a_world(control_plane, tmp_path, step=SLOW_STEP) as world:
        start(world)
        await world.make("tiny", SOURCE)
        await world.until("Ready", lambda: are_ready(world, (LOCAL_MODELS, "tiny")), PATIENCE)
        await rest(world)
        for_model = world.writes()
        await world.cluster.apply(pool(world, 1024, replicas=1))
        await world.until("Ready", lambda: are_ready(world, (INFERENCE_POOLS, "chat")), PATIENCE)
        await rest(world)
        later = world.writes(len(for_model))
    for_gateway = [each for each in later if f"/{names.GATEWAY}" in each.path]
    for_pool = [
        each for each in later if each not in for_gateway and "/localmodels/" not in each.path
    ]
    numbers = zip((for_model, for_pool, for_gateway), BUDGETS, strict=True)
    counts = ", ".join(f"{what} {len(made)} of {most}" for made, (what, most) in numbers)
    announce(f"writes from nothing to Ready: {counts}")
    assert len(for_model) <= MODEL_BUDGET, told_writes(for_model)
    assert len(for_pool) <= POOL_BUDGET, told_writes(for_pool)
    assert len(for_gateway) <= GATEWAY_BUDGET, told_writes(for_gateway)


async def test_happenings_are_told_once_to_who_describes_the_objects(
    control_plane: ControlPlane, tmp_path: Path
) -> None:
    async with a_world(control_plane, tmp_path) as world:
        start(world)
        await bring_up(world)
        await world.make("wrong", "https://models.example.com/")
        await world.until("refused", lambda: is_stalled(world, "wrong"), PATIENCE)
        await rest(world)
        told = await own_events(world)
        assert [each for each in told if each[1] == "Normal"] == [
            ("chat", "Normal", "Ready", 1),
            ("tiny", "Normal", "Pulled", 1),
        ]
        assert ("wrong", "Warning", "InvalidSpec", 1) in told
        described = kubectl(
            control_plane, "-n", world.namespace, "describe", "inferencepool", "chat"
        )
    assert "Every replica serves what is declared." in described


async def is_stalled(world: LoopWorld, name: str) -> bool:
    conditions = (await world.model(name)).get("status", {}).get("conditions", [])
    return any(each["type"] == "Stalled" for each in conditions)


async def own_events(world: LoopWorld) -> list[tuple[str, str, str, int]]:
    found: tuple[Any, ...] = await world.cluster.list(EVENTS, world.namespace)
    return sorted(
        (each["involvedObject"]["name"], each["type"], each["reason"], each["count"])
        for each in found
        if each.get("reportingComponent") == "paddock.dev/operator"
    )


def test_answers_lost_after_every_write_change_nothing(stories: AtOnce[Story]) -> None:
    assert differences(stories["unanswered"].ending, stories["undisturbed"].ending) == []


@pytest.mark.parametrize("status", REFUSALS)
def test_writes_refused_twice_are_made_in_the_end(stories: AtOnce[Story], status: int) -> None:
    story = stories[f"refused-{status}"]
    assert differences(story.ending, stories["undisturbed"].ending) == []
    refused = {path: count for path, count in story.done.items() if not _COURTESY.search(path)}
    assert set(refused.values()) == {2}
