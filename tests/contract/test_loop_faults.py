"""The loop with a toy reconciler behind a gate that breaks the apiserver, and beside a rival."""

import asyncio
import json
import signal
from typing import Any

import pytest

from paddock import names
from paddock.kinds import CONFIG_MAPS, LEASES
from paddock.resync import ALL
from support.gate import PASS, Request, Rule, Verdict
from support.loop_world import SHORT, LoopWorld

pytestmark = pytest.mark.contract
SOURCE = "https://models.example.com/a.gguf"
LEASE_SECONDS = SHORT["lease_duration"]


def refusing_lists(status: int, plural: str) -> Rule:
    """Refuse to list or watch one kind."""

    def rule(request: Request) -> Verdict:
        asked = request.path.endswith(f"/{plural}") and request.method == "GET"
        return Verdict(status=status) if asked else PASS

    return rule


@pytest.mark.parametrize("status", [403, 404, 410, 500])
async def test_refused_list_of_children_stops_nothing_that_was_synced(
    world: LoopWorld, status: int
) -> None:
    process = world.start(delays={"resync": 1.0})
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    await world.until_watching()
    world.gate.rule = refusing_lists(status, "configmaps")
    await world.gate.inject(b"", "configmaps")
    await world.until_logged(process, "not listed")
    await world.change_and_settle("tiny", 1)
    world.gate.rule = lambda _request: PASS
    await world.until_logged(process, "listed again")
    drifted: Any = {**(await world.child("tiny")), "data": {"source": "by hand"}}
    await world.cluster.replace(CONFIG_MAPS, world.namespace, "tiny-toy", drifted)
    await world.settled("tiny", "https://models.example.com/1.gguf")
    assert process.is_running


@pytest.mark.parametrize("status", [401, 403, 404, 500])
async def test_operator_that_may_read_nothing_at_first_begins_when_it_may(
    world: LoopWorld, status: int
) -> None:
    refused: list[Request] = []

    def rule(request: Request) -> Verdict:
        if request.method != "GET":
            return PASS
        refused.append(request)
        return Verdict(status=status)

    world.gate.rule = rule
    process = world.start()

    async def asked() -> bool:
        return len({request.path for request in refused}) > 1

    await world.until("the operator has asked for two kinds", asked)
    assert process.is_running
    world.gate.rule = lambda _request: PASS
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    assert len(world.writes()) == 2


LINES = {
    "end": b"",
    "error 410": b'{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Expired"}}\n',
    "error 500": b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"no"}}\n',
    "half a line": b'{"type":"ADDED","object":{"kind":"LocalMo',
    "a page": b"<html><body>502 Bad Gateway</body></html>\n",
    "a huge line": b'{"type":"BOOKMARK","object":{"metadata":{"x":"' + b"x" * 2**21 + b'"}}}\n',
}


@pytest.mark.parametrize("line", LINES)
async def test_broken_watches_are_watched_again(world: LoopWorld, line: str) -> None:
    process = world.start()
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    before = len(world.writes())
    await world.until_watching()
    assert await world.gate.inject(LINES[line]) >= len(ALL)
    await world.until_watching()
    await world.change_and_settle("tiny", 1)
    assert process.is_running
    assert len(world.writes()) == before + 2


@pytest.mark.parametrize("way", ["frozen", "never answered"])
async def test_silent_watch_is_made_up_for_by_lists(world: LoopWorld, way: str) -> None:
    world.gate.frozen = way == "frozen"
    if way == "never answered":
        world.gate.rule = lambda request: Verdict(delay=60) if request.is_watch else PASS
    process = world.start(delays={"resync": 1.0})
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    await world.change_and_settle("tiny", 1)
    child = await world.child("tiny")
    await world.remove("tiny")
    await world.make("tiny")

    async def renewed() -> bool:
        found, model = await world.child("tiny"), await world.model("tiny")
        owner = found["metadata"]["labels"][names.OWNER_UID_LABEL] if found else ""
        return bool(owner == model["metadata"]["uid"])

    await world.until("a child of the new model", renewed)
    assert (await world.child("tiny"))["metadata"]["uid"] != child["metadata"]["uid"]
    assert process.is_running


async def test_lists_slow_down_while_watches_are_refused(world: LoopWorld) -> None:
    process = world.start()
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    await world.until_watching()
    world.gate.rule = lambda request: Verdict(status=429) if request.is_watch else PASS
    before = len(world.gate.requests)
    await world.gate.inject(b"")

    async def tried() -> bool:
        return sum(request.is_watch for request in world.gate.requests[before:]) > 27

    await world.until("every kind was watched three times", tried)
    asked = world.gate.requests[before:]
    seconds = asked[-1].at - asked[0].at
    assert sum(request.is_list for request in asked) < 20 + 20 * seconds
    world.gate.rule = lambda _request: PASS
    await world.change_and_settle("tiny", 1, 60)
    assert process.is_running


async def test_apiserver_that_dies_and_refuses_connections_is_waited_for(world: LoopWorld) -> None:
    process = world.start()
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    before, plane = len(world.writes()), world.gate.plane
    await asyncio.to_thread(plane.kill_apiserver)
    await world.gate.close()
    await world.until_logged(process, "lease lost")
    await asyncio.to_thread(plane.start_apiserver)
    await world.gate.open()
    await world.change_and_settle("tiny", 1)
    assert process.is_running
    assert len(world.writes()) == before + 2


async def test_of_two_operators_one_acts_and_the_other_takes_over_after_a_kill(
    world: LoopWorld,
) -> None:
    first = world.start("first")
    await world.until_logged(first, "leading")
    second = world.start("second")
    for number in range(5):
        await world.make(f"m{number}")
        await world.settled(f"m{number}", SOURCE)
    assert {request.client for request in world.writes()} == {"first"}
    before = len(world.writes())
    first.kill()
    await world.make("m0", "https://models.example.com/1.gguf")
    await world.until_logged(second, "leading")
    await world.settled("m0", "https://models.example.com/1.gguf")
    later = world.writes(before)
    assert {request.client for request in later} == {"second"}
    assert len(later) == 2


async def test_leader_that_ends_well_hands_over_at_once(world: LoopWorld) -> None:
    first = world.start("first", delays={"lease_duration": 60.0, "lease_renew_deadline": 40.0})
    await world.until_logged(first, "leading")
    second = world.start("second", delays={"lease_duration": 60.0, "lease_renew_deadline": 40.0})
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    assert await first.ended(signal.SIGTERM) < 5
    await world.until_logged(second, "leading", 5)
    await world.change_and_settle("tiny", 1)


async def test_leader_that_was_paused_writes_nothing_when_it_wakes(world: LoopWorld) -> None:
    first = world.start("first")
    await world.until_logged(first, "leading")
    second = world.start("second")
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    first.popen.send_signal(signal.SIGSTOP)
    await world.make("tiny", "https://models.example.com/1.gguf")
    await world.until_logged(second, "leading")
    await world.settled("tiny", "https://models.example.com/1.gguf")
    before = len(world.writes())
    first.popen.send_signal(signal.SIGCONT)
    await world.until_logged(first, "lease lost")
    await world.change_and_settle("tiny", 2)
    assert {request.client for request in world.writes(before)} == {"second"}


@pytest.mark.parametrize("renewed", ["2020-01-01T00:00:00.000000Z", "2099-01-01T00:00:00.000000Z"])
async def test_lease_is_judged_by_its_changes_and_never_by_its_clock(
    world: LoopWorld, renewed: str
) -> None:
    """A holder whose clock is years off leads while it renews, and is dead when it stops."""
    lease = await world.cluster.create(LEASES, world.namespace, lease_of(world, renewed))
    process = world.start()
    await world.make("tiny")
    loop = asyncio.get_running_loop()
    until = loop.time() + 2 * LEASE_SECONDS
    minute = 0
    while loop.time() < until:
        minute += 1
        record: Any = {**lease, "spec": {**lease_spec(renewed), "leaseTransitions": minute}}
        lease = await world.cluster.replace(LEASES, world.namespace, names.LEASE, record)
        await asyncio.sleep(LEASE_SECONDS / 6)  # the rival's own period
    assert world.writes() == []
    assert "leading" not in process.log
    await world.settled("tiny", SOURCE, 60)


def lease_spec(renewed: str) -> Any:
    return {
        "holderIdentity": "ghost",
        "leaseDurationSeconds": int(LEASE_SECONDS),
        "renewTime": renewed,
        "acquireTime": renewed,
    }


def lease_of(world: LoopWorld, renewed: str) -> Any:
    metadata = {"name": names.LEASE, "namespace": world.namespace}
    body = {"apiVersion": LEASES.api_version, "kind": LEASES.kind, "metadata": metadata}
    return json.loads(json.dumps({**body, "spec": lease_spec(renewed)}))
