"""The loop with a toy reconciler against a real apiserver: nothing broken yet."""

import signal
from typing import Any

import pytest

from paddock import names
from paddock.kinds import CONFIG_MAPS
from support.loop_world import LoopWorld

pytestmark = pytest.mark.contract
SOURCE = "https://models.example.com/a.gguf"


async def test_model_gets_its_child_and_status_in_two_writes(world: LoopWorld) -> None:
    world.start()
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    assert [(each.method, each.path.rpartition("/")[2]) for each in world.writes()] == [
        ("PATCH", "tiny-toy"),
        ("PATCH", "status"),
    ]


async def test_settled_object_costs_no_write_across_a_restart(world: LoopWorld) -> None:
    first = world.start("first")
    for number in range(5):
        await world.make(f"m{number}")
        await world.settled(f"m{number}", SOURCE)
    assert await first.ended(signal.SIGTERM) < 10
    assert first.popen.returncode == 0
    before = len(world.writes())
    second = world.start("second")
    await world.until_logged(second, "leading")
    await world.change_and_settle("m0", 1)
    later = [each.path for each in world.writes(before)]
    assert [path for path in later if "/m0" not in path] == []
    assert len(later) == 2


async def test_change_and_drift_are_seen_through(world: LoopWorld) -> None:
    world.start()
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    await world.change_and_settle("tiny", 1)
    child = await world.child("tiny")
    await world.cluster.delete(
        CONFIG_MAPS, world.namespace, "tiny-toy", uid=child["metadata"]["uid"]
    )
    await world.settled("tiny", "https://models.example.com/1.gguf")
    drifted: Any = {**(await world.child("tiny")), "data": {"source": "changed by hand"}}
    await world.cluster.replace(CONFIG_MAPS, world.namespace, "tiny-toy", drifted)
    await world.settled("tiny", "https://models.example.com/1.gguf")


async def test_twenty_edits_end_with_the_last(world: LoopWorld) -> None:
    world.start()
    for number in range(20):
        await world.make("tiny", f"https://models.example.com/{number}.gguf")
    await world.settled("tiny", "https://models.example.com/19.gguf")


async def test_stranger_of_the_childs_name_is_not_adopted(world: LoopWorld) -> None:
    stranger = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "tiny-toy", "namespace": world.namespace},
        "data": {"source": "somebody else's"},
    }
    await world.cluster.create(CONFIG_MAPS, world.namespace, stranger)
    world.start()
    await world.make("tiny")

    async def refused() -> bool:
        model = await world.model("tiny")
        conditions = model.get("status", {}).get("conditions", [])
        return any(each["reason"] == "NameConflict" for each in conditions)

    await world.until("the name conflict is told", refused)
    assert (await world.child("tiny"))["data"] == stranger["data"]
    found = await world.child("tiny")
    await world.cluster.delete(
        CONFIG_MAPS, world.namespace, "tiny-toy", uid=found["metadata"]["uid"]
    )
    await world.settled("tiny", SOURCE)


async def test_deleted_model_is_forgotten_and_its_name_free(world: LoopWorld) -> None:
    world.start()
    await world.make("tiny")
    await world.settled("tiny", SOURCE)
    first = await world.child("tiny")
    await world.remove("tiny")
    await world.make("tiny")

    async def renewed() -> bool:
        child, model = await world.child("tiny"), await world.model("tiny")
        owner = child["metadata"]["labels"][names.OWNER_UID_LABEL] if child else ""
        return bool(owner == model["metadata"]["uid"])

    await world.until("a new child for the new model", renewed, 60)
    second = await world.child("tiny")
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_quota_is_told_and_recovers(world: LoopWorld) -> None:
    quota: Any = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "none", "namespace": world.namespace},
        "spec": {"hard": {"count/configmaps": "0"}},
    }
    path = f"/api/v1/namespaces/{world.namespace}/resourcequotas"
    await world.cluster._send("POST", path, quota)  # noqa: SLF001 - the administrator's request

    async def enforced() -> bool:
        found: Any = await world.cluster._send("GET", f"{path}/none", None)  # noqa: SLF001 - same
        return bool(found.get("status", {}).get("hard"))

    await world.until("the quota is counted", enforced)
    world.start()
    await world.make("tiny")

    async def refused() -> bool:
        model = await world.model("tiny")
        conditions = model.get("status", {}).get("conditions", [])
        return any(each["reason"] == "QuotaExceeded" for each in conditions)

    await world.until("the quota is told", refused)
    await world.cluster._send("DELETE", f"{path}/none", None)  # noqa: SLF001 - same
    await world.settled("tiny", SOURCE)
