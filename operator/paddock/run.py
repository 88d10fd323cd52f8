"""One operator process, wired: watches, lists, passes, lease, probes; ends well on SIGTERM."""

import asyncio
import contextlib
import logging
import signal

import httpx
from aiohttp import web

from paddock import kinds
from paddock.clock import Clock, SystemClock
from paddock.facts import Key
from paddock.handlers import Wakeups, watch
from paddock.health import build_app
from paddock.kube.cache import Cache
from paddock.kube.real import RealCluster, connect
from paddock.lease import LeaderGate, Lease
from paddock.passes import Passes
from paddock.queue import Queue
from paddock.reconcile import Conductor
from paddock.resync import Resync
from paddock.settings import Settings
from paddock.supervisor import Supervisor

log = logging.getLogger("paddock")


class Operator:
    """All parts of one operator process."""

    def __init__(
        self, settings: Settings, cluster: RealCluster, gate: LeaderGate, clock: Clock
    ) -> None:
        delays = settings.delays
        self.settings, self.cluster = settings, cluster
        self.cache = Cache((*kinds.OWN, *kinds.WATCHED_CHILDREN))
        self.queue: Queue[Key] = Queue(first=delays.backoff_first, limit=delays.backoff_limit)
        self.wakeups = Wakeups(self.cache, self.queue)
        self.resync = Resync(cluster, self.cache, self.queue, self.wakeups, settings)
        self.client = httpx.AsyncClient(timeout=delays.engine_timeout, trust_env=False)
        self.conductor = Conductor(cluster, self.cache, settings, clock, self.client)
        self.passes = Passes(self.queue, self.conductor, self.conductor.report_failure)
        self.supervisor = Supervisor(
            clock, first=delays.supervisor_first, limit=delays.supervisor_limit
        )
        self.lease = Lease(cluster, clock, settings)
        gate.lease = self.lease

    async def run(self) -> None:
        """Run until cancelled."""
        runner = await self._serve_probes()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.resync.run())
                group.create_task(self.supervisor.run(self._watch))
                group.create_task(self.lease.run())
                group.create_task(self._work())
        finally:
            await runner.cleanup()
            await self.client.aclose()
            await self.cluster.close()

    async def _watch(self) -> None:
        """Run kopf once the kinds are known to the apiserver."""
        await self.resync.synced.wait()
        await watch(self.wakeups, self.settings.namespace)

    async def _work(self) -> None:
        """Run passes while leading; standing by, the queue only collects."""
        await self.resync.synced.wait()
        while True:
            await self.lease.leading.wait()
            passes = asyncio.create_task(self.passes.run(self.settings.concurrency))
            lost = asyncio.create_task(self.lease.lost.wait())
            try:
                await asyncio.wait({passes, lost}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                lost.cancel()
                passes.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await passes
            await self.resync.once()

    async def _serve_probes(self) -> web.AppRunner:
        app = build_app(lambda: True, self.resync.synced.is_set)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, port=self.settings.health_port).start()
        return runner


async def run_operator(settings: Settings, kubeconfig: str | None = None) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    clock = SystemClock()
    gate = LeaderGate(clock, settings.writes_per_second)
    lease_cluster = await connect(kubeconfig, gate=gate)
    operator = Operator(settings, lease_cluster, gate, clock)
    running = asyncio.create_task(operator.run())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running
    log.info("ended")
