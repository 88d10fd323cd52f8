"""Leader election by a coordination Lease: at most one operator writes.

Other holders' clocks are never compared with ours: a Lease is dead when its record has not changed
for its duration of our monotonic time. A write is allowed only while the last renewal is younger
than the renew deadline, which is shorter than the duration.
"""

import asyncio
import logging
from collections.abc import Mapping

from paddock import names
from paddock.clock import Clock
from paddock.errors import ApiError, ConflictError
from paddock.kinds import LEASES
from paddock.kube.cluster import Cluster
from paddock.settings import Settings
from paddock.wire import Json, Manifest

log = logging.getLogger("paddock.lease")
_RELEASE_SECONDS = 2.0


class LostLeadershipError(Exception):
    """A write was about to be made without holding the Lease."""


class Lease:
    """This process's claim to lead."""

    def __init__(self, cluster: Cluster, clock: Clock, settings: Settings) -> None:
        self._cluster, self._clock, self._settings = cluster, clock, settings
        self._renewed: float | None = None
        self._ours: Manifest | None = None
        self._seen: tuple[Json, float] = (None, clock.monotonic())
        self.leading = asyncio.Event()
        self.lost = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Return whether a write may begin now."""
        return self._age < self._settings.delays.lease_renew_deadline

    @property
    def remaining(self) -> float:
        """Return the seconds for which nobody else can take the Lease."""
        return max(0.0, self._settings.delays.lease_duration - self._age)

    @property
    def _age(self) -> float:
        if self._renewed is None:
            return float("inf")
        return self._clock.monotonic() - self._renewed

    async def run(self) -> None:
        """Acquire, renew, and acquire again, until cancelled."""
        while True:
            await self._turn()
            await asyncio.sleep(self._settings.delays.lease_retry)

    async def release(self) -> None:
        """Give the Lease up, so that another takes it without waiting; for the end of the run."""
        if not self.is_held:
            return
        self._renewed = None
        self.leading.clear()
        namespace = self._settings.operator_namespace
        try:
            async with asyncio.timeout(_RELEASE_SECONDS):
                live = await self._cluster.get(LEASES, namespace, names.LEASE)
                if live is not None and _holder(live) == self._settings.identity:
                    await self._write(live, holder="")
                    log.info("lease released")
        except (ApiError, TimeoutError) as error:
            log.warning("lease not released: %s", error)

    async def _turn(self) -> None:
        began = self._clock.monotonic()
        try:
            async with asyncio.timeout(self._settings.delays.lease_renew_deadline / 2):
                held = await self._acquire()
        except (ApiError, TimeoutError) as error:
            log.warning("lease not renewed: %s", str(error) or "it took too long")
            self._ours = None
            if not self.is_held:
                self._lose()
            return
        if held:
            self._hold(began)
        else:
            self._lose()

    def _hold(self, began: float) -> None:
        self._renewed = began
        if not self.leading.is_set():
            log.info("leading", extra={"identity": self._settings.identity})
            self.lost.clear()
            self.leading.set()

    def _lose(self) -> None:
        if self.leading.is_set():
            log.warning("lease lost", extra={"identity": self._settings.identity})
        self._renewed = self._ours = None
        self.leading.clear()
        self.lost.set()

    async def _acquire(self) -> bool:
        """Take or renew the Lease; return whether it is ours."""
        if self._ours is not None:
            try:
                await self._write(self._ours)
            except ConflictError:
                self._ours = None
            else:
                return True
        return await self._contend()

    async def _contend(self) -> bool:
        """Read the Lease, and take it if it is free, ours or dead."""
        namespace = self._settings.operator_namespace
        live = await self._cluster.get(LEASES, namespace, names.LEASE)
        if live is not None and not self._may_take(live):
            return False
        try:
            await self._write(live)
        except ConflictError:
            return False
        return True

    def _may_take(self, live: Manifest) -> bool:
        spec, now = _spec(live), self._clock.monotonic()
        if spec != self._seen[0]:
            self._seen = (spec, now)
        if _holder(live) in (None, "", self._settings.identity):
            return True
        stated = spec.get("leaseDurationSeconds")
        own = self._settings.delays.lease_duration
        duration = max(own, float(stated)) if isinstance(stated, int) else own
        return now - self._seen[1] >= duration

    async def _write(self, live: Manifest | None, holder: str | None = None) -> None:
        """Write our record over the one that was read, and keep the answer for the next time."""
        record = self._record(live, self._settings.identity if holder is None else holder)
        namespace = self._settings.operator_namespace
        if live is None:
            self._ours = await self._cluster.create(LEASES, namespace, record)
        else:
            self._ours = await self._cluster.replace(LEASES, namespace, names.LEASE, record)

    def _record(self, live: Manifest | None, holder: str) -> Manifest:
        before: Mapping[str, Json] = _spec(live) if live is not None else {}
        moment = f"{self._clock.now().strftime('%Y-%m-%dT%H:%M:%S')}.000000Z"
        kept = before.get("holderIdentity") == holder
        changes = before.get("leaseTransitions")
        transitions = changes if isinstance(changes, int) else 0
        metadata: dict[str, Json] = {
            "name": names.LEASE,
            "namespace": self._settings.operator_namespace,
        }
        known = live.get("metadata") if live is not None else None
        if isinstance(known, Mapping):
            metadata["resourceVersion"] = known["resourceVersion"]
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": holder,
                "leaseDurationSeconds": max(1, round(self._settings.delays.lease_duration)),
                "renewTime": moment,
                "acquireTime": before.get("acquireTime", moment) if kept else moment,
                "leaseTransitions": transitions + (0 if kept or not holder else 1),
            },
        }


def _spec(lease: Manifest) -> Mapping[str, Json]:
    spec = lease.get("spec")
    return spec if isinstance(spec, Mapping) else {}


def _holder(lease: Manifest) -> Json:
    return _spec(lease).get("holderIdentity")


class LeaderGate:
    """The write gate: only a leader writes, and not faster than the administrator allows."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock, self._interval = clock, 1.0 / per_second
        self._next = 0.0
        self.lease: Lease | None = None

    async def __call__(self) -> float:
        """Wait for this write's turn, check that we still lead, return how long it may take."""
        now = self._clock.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._interval
        if turn - now > _BURST_SECONDS:
            await asyncio.sleep(turn - now - _BURST_SECONDS)
        if self.lease is None or not self.lease.is_held:
            raise LostLeadershipError
        return self.lease.remaining


_BURST_SECONDS = 0.2
"""How far ahead of the steady rate writes may run."""
