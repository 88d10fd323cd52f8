"""What a watch of statuses sees: every version that an operator writes, and what was before."""

import asyncio

import pytest

from paddock.local.control_plane import ControlPlane
from support.loop_world import LoopWorld
from support.status_watch import followed

pytestmark = pytest.mark.contract
SOURCE = "https://models.example.com/{}.gguf"


async def test_every_version_that_an_operator_writes_is_seen(
    world: LoopWorld, control_plane: ControlPlane
) -> None:
    sources = [SOURCE.format(number) for number in range(3)]
    await world.make("tiny", sources[0])
    with followed(control_plane) as watch:
        await asyncio.to_thread(watch.catch_up)
        world.start()
        for source in sources:
            await world.make("tiny", source)
            await world.settled("tiny", source)
        await asyncio.to_thread(watch.catch_up)
        seen = [
            [each["message"] for each in whole["status"].get("conditions", ())]
            for _, whole in watch.news()
            if whole["metadata"]["namespace"] == world.namespace
        ]
    told = [each for each, before in zip(seen, [None, *seen], strict=False) if each != before]
    assert told == [[], *([f"The child holds {source}."] for source in sources)]
