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


class LostLeadershipError(Exception):
    """A write was about to be made without holding the Lease."""


class Lease:
    """This process's claim to lead."""

    def __init__(self, cluster: Cluster, clock: Clock, settings: Settings) -> None:
        self._cluster, self._clock, self._settings = cluster, clock, settings
        self._renewed: float | None = None
        self._seen: tuple[Json, float] = (None, clock.monotonic())
        self.leading = asyncio.Event()
        self.lost = asyncio.Event()

    @property
    def is_held(self) -> bool:
        """Return whether a write may be made now."""
        deadline = self._settings.delays.lease_renew_deadline
        return self._renewed is not None and self._clock.monotonic() - self._renewed < deadline

    async def run(self) -> None:
        """Acquire, renew, and acquire again, until cancelled; then give the Lease up."""
        try:
            while True:
                await self._turn()
                await asyncio.sleep(self._settings.delays.lease_retry)
        finally:
            await self._release()

    async def _turn(self) -> None:
        began = self._clock.monotonic()
        try:
            held = await self._acquire()
        except ConflictError:
            held = False
        except ApiError as error:
            log.warning("lease not renewed: %s", error)
            held = self.is_held
            began = self._renewed if self._renewed is not None else began
        if held:
            self._renewed = began
            if not self.leading.is_set():
                log.info("leading", extra={"identity": self._settings.identity})
                self.lost.clear()
                self.leading.set()
        elif self.leading.is_set() or self._renewed is not None:
            log.warning("lease lost", extra={"identity": self._settings.identity})
            self._renewed = None
            self.leading.clear()
            self.lost.set()

    async def _acquire(self) -> bool:
        """Take or renew the Lease; return whether it is ours."""
        namespace = self._settings.operator_namespace
        live = await self._cluster.get(LEASES, namespace, names.LEASE)
        if live is None:
            await self._cluster.create(LEASES, namespace, self._record(None))
            return True
        spec = live.get("spec")
        holder = spec.get("holderIdentity") if isinstance(spec, dict) else None
        now = self._clock.monotonic()
        if spec != self._seen[0]:
            self._seen = (spec, now)
        expired = now - self._seen[1] >= self._settings.delays.lease_duration
        if holder not in (None, "", self._settings.identity) and not expired:
            return False
        await self._cluster.replace(LEASES, namespace, names.LEASE, self._record(live))
        return True

    async def _release(self) -> None:
        if not self.is_held:
            return
        namespace = self._settings.operator_namespace
        try:
            live = await self._cluster.get(LEASES, namespace, names.LEASE)
            if live is not None and _holder(live) == self._settings.identity:
                await self._cluster.replace(
                    LEASES, namespace, names.LEASE, self._record(live, holder="")
                )
        except ApiError as error:
            log.warning("lease not released: %s", error)
        finally:
            self._renewed = None

    def _record(self, live: Manifest | None, holder: str | None = None) -> Manifest:
        metadata: dict[str, Json] = {
            "name": names.LEASE,
            "namespace": self._settings.operator_namespace,
        }
        before = live.get("metadata") if live else None
        if isinstance(before, Mapping):
            metadata["resourceVersion"] = before["resourceVersion"]
        moment = f"{self._clock.now().strftime('%Y-%m-%dT%H:%M:%S')}.000000Z"
        return {
            "apiVersion": LEASES.api_version,
            "kind": LEASES.kind,
            "metadata": metadata,
            "spec": {
                "holderIdentity": self._settings.identity if holder is None else holder,
                "leaseDurationSeconds": max(1, int(self._settings.delays.lease_duration)),
                "renewTime": moment,
                "acquireTime": moment,
            },
        }


def _holder(lease: Manifest) -> Json:
    spec = lease.get("spec")
    return spec.get("holderIdentity") if isinstance(spec, dict) else None


class LeaderGate:
    """The write gate: only a leader writes, and not faster than the administrator allows."""

    def __init__(self, clock: Clock, per_second: float) -> None:
        self._clock, self._interval = clock, 1.0 / per_second
        self._next = 0.0
        self.lease: Lease | None = None

    async def __call__(self) -> None:
        """Wait for this write's turn, then check that we still lead."""
        now = self._clock.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._interval
        if turn - now > _BURST_SECONDS:
            await asyncio.sleep(turn - now - _BURST_SECONDS)
        if self.lease is None or not self.lease.is_held:
            raise LostLeadershipError


_BURST_SECONDS = 0.2
"""How far ahead of the steady rate writes may run."""
