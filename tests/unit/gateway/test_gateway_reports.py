"""What Envoys said is kept while it is as wanted; pods that go have to be found anew."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import httpx
import pytest
from aiohttp import web

from paddock import names
from paddock.facts import EnvoyReport, GatewayFacts
from paddock.observe.gateway import with_reports
from paddock.plan.gateway.bootstrap import STATE_PATH
from support.gateways import CPP, envoy_pod, gateway_facts

VERSION, CLUSTER = "v1", "team/cpp"
FOUND = EnvoyReport(frozenset({VERSION}), frozenset({CLUSTER}))
WAITING = replace(FOUND, reached=frozenset())
POD = replace(envoy_pod(), ip="127.77.3.9")
FACTS = replace(gateway_facts(CPP), pods=(POD,))
PATIENCE = 60.0


@asynccontextmanager
async def envoy() -> AsyncIterator[list[str]]:
    """Serve the state of an Envoy that has found the pods; give what it was asked."""
    asked: list[str] = []

    async def state(request: web.Request) -> web.Response:
        asked.append(request.path)
        version = {"name": "cluster_manager.cds.version_text", "value": VERSION}
        healthy = {"name": f"cluster.{CLUSTER}.membership_healthy", "value": 1}
        return web.json_response({"stats": [version, healthy]})

    app = web.Application()
    app.router.add_get(STATE_PATH, state)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, POD.ip, names.GATEWAY_STATUS_PORT).start()
    try:
        yield asked
    finally:
        await runner.cleanup()


async def looked(
    before: EnvoyReport, wanted: EnvoyReport, lost: frozenset[str] = frozenset()
) -> EnvoyReport:
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
        seen: GatewayFacts = await with_reports(FACTS, client, {POD.uid: before}, wanted, lost=lost)
    return seen.reports[POD.uid]


async def test_pods_that_an_envoy_found_before_the_pool_told_them_stay_found() -> None:
    async with envoy() as asked:
        first = await looked(EnvoyReport(), WAITING)
        again = await looked(first, WAITING)
        told = await looked(again, FOUND)

    assert (first, again, told) == (FOUND, FOUND, FOUND)
    assert asked == [STATE_PATH]


@pytest.mark.parametrize("before", [FOUND, EnvoyReport()], ids=["known", "asked"])
async def test_pods_that_went_are_found_anew_when_there_are_some_again(
    before: EnvoyReport,
) -> None:
    async with envoy() as asked:
        without = await looked(before, WAITING, lost=FOUND.reached)
        asked.clear()
        back = await looked(without, FOUND)

    assert (without, back) == (WAITING, FOUND)
    assert asked == [STATE_PATH]
