"""One operator process, wired: watches, lists, passes, lease, probes; ends well on SIGTERM."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable

import httpx
from aiohttp import web

from paddock import kinds
from paddock.clock import Clock, SystemClock
from paddock.facts import Key
from paddock.handlers import Wakeups, watch
from paddock.health import build_app
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.kube.real import RealCluster, connect
from paddock.lease import LeaderGate, Lease
from paddock.passes import Passes, Reconciler
from paddock.queue import Queue
from paddock.reconcile import Conductor
from paddock.resync import Resync, kinds_for
from paddock.routes import index_of
from paddock.settings import Settings
from paddock.supervisor import Supervisor
from paddock.telemetry import catalog
from paddock.telemetry.engines import EngineMeasures
from paddock.telemetry.exposition import exposition
from paddock.telemetry.limits import token_limits
from paddock.telemetry.objects import ObjectMeasures
from paddock.telemetry.otlp import exporting
from paddock.telemetry.registry import Registry

log = logging.getLogger("paddock")
_NOTHING_KEPT = httpx.Limits(max_keepalive_connections=0)
"""An engine that ends waits for who is connected to it; Ollama ends no idle connection."""
_LAST_SECONDS = 4.0
"""What the shutdown keeps for everything after the passes."""

BuildReconciler = Callable[[Cluster, Cache], Reconciler]


class Operator:
    """All parts of one operator process."""

    def __init__(
        self,
        settings: Settings,
        cluster: RealCluster,
        gate: LeaderGate,
        clock: Clock,
        build: BuildReconciler,
        registry: Registry,
    ) -> None:
        delays = settings.delays
        self.settings, self.cluster, self.registry = settings, cluster, registry
        self.cache = Cache(kinds_for(settings), index_of)
        self.queue: Queue[Key] = Queue(first=delays.backoff_first, limit=delays.backoff_limit)
        self.wakeups = Wakeups(self.cache, self.queue, delays.settle)
        self.resync = Resync(cluster, self.cache, self.queue, self.wakeups, settings)
        self.passes = Passes(
            self.queue, build(cluster, self.cache), self.resync.refresh, self._took
        )
        self.supervisor = Supervisor(
            clock, first=delays.supervisor_first, limit=delays.supervisor_limit
        )
        self.lease = Lease(cluster, clock, settings)
        self.engines = EngineMeasures(registry, self.cache)
        gate.lease = self.lease
        self._measure()

    def _measure(self) -> None:
        """Say how the numbers of this process are read."""
        read, meter = self.registry.read, self.cluster.meter
        read(catalog.QUEUE_DEPTH, lambda: {(): len(self.queue)})
        read(catalog.TOKEN_LIMIT, lambda: token_limits(self.cache.list(kinds.INFERENCE_POOLS)))
        read(
            catalog.PASSES,
            lambda: {tuple(key): count for key, count in self.passes.outcomes.items()},
        )
        read(
            catalog.API_REQUESTS,
            lambda: {(verb, str(code)): count for (verb, code), count in meter.answers.items()},
        )
        read(catalog.API_RECEIVED, lambda: {(): meter.received})
        read(catalog.WATCH_RESTARTS, lambda: {(): self.supervisor.restarts})
        read(catalog.LEADER, lambda: {(): int(self.lease.is_held)})
        read(catalog.CACHE_OBJECTS, lambda: {(): len(self.cache)})

    def _took(self, key: Key, seconds: float) -> None:
        self.registry.record(catalog.PASS_DURATION, seconds, key.plural)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until told to stop; a part that ends by itself ends the process with its error."""
        runner = await self._serve_probes()
        parts: list[asyncio.Task[None]] = [
            asyncio.create_task(part)
            for part in (
                self.resync.run(),
                self.supervisor.run(self._watch),
                self._lead(),
                self._work(),
            )
        ]
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({*parts, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for part in parts:
                if part.done():
                    part.result()
        finally:
            stopping.cancel()
            await self._end(parts)
            await runner.cleanup()
            await self.cluster.close()

    async def _end(self, parts: list[asyncio.Task[None]]) -> None:
        """Let passes under way end, then everything else; give the Lease up last."""
        await self.passes.drain(max(0.0, self.settings.delays.shutdown - _LAST_SECONDS))
        for part in parts:
            part.cancel()
        await self.lease.release()
        await asyncio.wait(parts, timeout=1)

    async def _watch(self) -> None:
        """Run kopf over the kinds that can be listed, until it ends or these kinds change."""
        await self.resync.synced.wait()
        self.resync.changed.clear()
        watching = asyncio.create_task(
            watch(
                self.wakeups,
                self.resync.watchable,
                self.settings.namespace,
                self.cluster.credentials,
            )
        )
        changed = asyncio.create_task(self.resync.changed.wait())
        try:
            await asyncio.wait({watching, changed}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
        finally:
            for task in (watching, changed):
                task.cancel()
            await asyncio.wait({watching, changed})

    async def _lead(self) -> None:
        """Contend for the Lease once this process could act as the leader."""
        await self.resync.synced.wait()
        await self.lease.run()

    async def _work(self) -> None:
        """Run passes while leading; standing by, the queue only collects.

        Who leads again was cut off for a while, and so were the watches, which wait longer and
        longer before they try again: what changed is listed.
        """
        has_led = False
        while True:
            await self.lease.leading.wait()
            if has_led:
                self.wakeups.relisted.set()
            has_led = True
            self.resync.wake_all()
            passes = asyncio.create_task(self.passes.run(self.settings.concurrency))
            asking = asyncio.create_task(self.engines.run(self.settings.delays.engine_metrics))
            lost = asyncio.create_task(self.lease.lost.wait())
            try:
                await asyncio.wait({passes, lost}, return_when=asyncio.FIRST_COMPLETED)
                if passes.done():
                    passes.result()
            finally:
                lost.cancel()
                asking.cancel()
                passes.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await passes

    async def _serve_probes(self) -> web.AppRunner:
        runner = web.AppRunner(
            build_app(self._trouble, self._standing, self._scrape), access_log=None
        )
        await runner.setup()
        await web.TCPSite(runner, port=self.settings.health_port).start()
        return runner

    def _trouble(self) -> str | None:
        if not self.resync.synced.is_set():
            return "not synced"
        absent = sorted(kind.plural for kind in self.resync.failing)
        return f"cannot list {', '.join(absent)}" if absent else None

    def _scrape(self) -> str:
        return exposition(self.registry.collect())

    def _standing(self) -> str:
        return "leader" if self.lease.is_held else "standby"


async def run_operator(
    settings: Settings, kubeconfig: str | None = None, build: BuildReconciler | None = None
) -> None:
    """Run the operator until SIGTERM or SIGINT; `build` replaces what a pass does."""
    clock, stop = SystemClock(), asyncio.Event()
    gate = LeaderGate(clock, settings.writes_per_second)
    cluster = await connect(kubeconfig, gate=gate)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    registry = Registry(catalog.OPERATOR)
    gc.freeze()  # modules are never garbage: a full collection looked through them for 60 ms
    measures = ObjectMeasures(registry)
    async with (
        exporting(registry, settings),
        httpx.AsyncClient(
            timeout=settings.delays.engine_timeout, limits=_NOTHING_KEPT, trust_env=False
        ) as client,
    ):

        def conductor(cluster: Cluster, cache: Cache) -> Reconciler:
            return Conductor(cluster, cache, settings, clock, client, measures)

        operator = Operator(settings, cluster, gate, clock, build or conductor, registry)
        await operator.run(stop)
    log.info("ended")
