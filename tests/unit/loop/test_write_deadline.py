"""A write has the time the Lease leaves it, also where the credentials are read anew in between."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from kubernetes.aio.client import ApiClient, Configuration

from paddock.errors import ApiError
from paddock.kinds import CONFIG_MAPS
from paddock.kube.real import RealCluster

LEFT = 0.5


class Refusing:
    """An apiserver that refuses who asks, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.url = ""

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.json_response({"message": "Who are you?"}, status=401)


@pytest.fixture
async def refusing() -> AsyncIterator[Refusing]:
    subject, app = Refusing(), web.Application()
    app.router.add_route("*", "/{path:.*}", subject.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    subject.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield subject
    await runner.cleanup()


@pytest.mark.parametrize(("reading", "asked"), [(0.0, {2}), (2 * LEFT, {0, 1})])
async def test_refused_write_is_sent_again_only_while_it_may_be(
    refusing: Refusing, reading: float, asked: set[int]
) -> None:
    async def left() -> float:
        return LEFT if reading else 60.0

    async def read() -> None:
        await asyncio.sleep(reading)

    client = ApiClient(Configuration(host=refusing.url))
    cluster = RealCluster(client, gate=left, reload=read)
    with pytest.raises(ApiError):
        await cluster.create(CONFIG_MAPS, "team", {})
    assert refusing.asked in asked
    await cluster.close()
