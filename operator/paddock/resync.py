"""The backstop of the watches: complete paged lists, now and then, into the cache.

The first complete round opens the passes. A kind that cannot be listed (its CRD is gone, our right
to it was cut) is asked for again on its own; the others go on.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Protocol

from paddock import kinds, names
from paddock.errors import ApiError, GoneError, NotFoundError
from paddock.facts import Key, Kind
from paddock.handlers import Wakeups
from paddock.kube.cache import Cache, place_of
from paddock.queue import Queue
from paddock.settings import Settings
from paddock.wire import Manifest

log = logging.getLogger("paddock.resync")
ALL = (*kinds.OWN, *kinds.WATCHED_CHILDREN)
_MISSING_SECONDS = 5.0
_SELECTOR = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
_PAGE = 100
_RETRY_FIRST, _RETRY_LIMIT = 1.0, 10.0
_HINT_SECONDS = 2.0
_GONE_AFTER = 2


def kinds_for(settings: Settings) -> tuple[Kind, ...]:
    """Return every kind that the operator lists and watches, where the cluster has it."""
    exposure = settings.exposure
    routes = (kinds.HTTP_ROUTES,) if exposure.gateway is not None else ()
    exports = (kinds.EXPORTED_POOLS,) if exposure.inference_extension else ()
    return (*ALL, *routes, *exports)


class Reader(Protocol):
    """Reads objects live."""

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return the live object, or None."""
        ...

    def pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> AsyncIterator[Sequence[Manifest]]:
        """Yield all objects page by page."""
        ...


class Resync:
    """Lists every kind now and then, and at once when the watch layer lost its place."""

    def __init__(
        self,
        cluster: Reader,
        cache: Cache,
        queue: Queue[Key],
        wakeups: Wakeups,
        settings: Settings,
    ) -> None:
        self._cluster, self._cache, self._queue = cluster, cache, queue
        self._wakeups, self._settings = wakeups, settings
        self._kinds = kinds_for(settings)
        self._absent: dict[Kind, int] = {}
        self._missing: set[Kind] = set()
        """Optional kinds that the cluster does not have."""
        self.failing: dict[Kind, str] = {}
        self.synced = asyncio.Event()
        self.changed = asyncio.Event()
        """Set when a kind can be listed again, or no longer."""

    @property
    def watchable(self) -> tuple[Kind, ...]:
        """Return the kinds that answered when they were listed last."""
        left_out = {*self.failing, *self._missing}
        return tuple(kind for kind in self._kinds if kind not in left_out)

    async def run(self) -> None:
        """List until cancelled."""
        loop = asyncio.get_running_loop()
        await self._round(self._kinds)
        due, pause = loop.time() + self._period(), _RETRY_FIRST
        while True:
            left = due - loop.time()
            left = min(left, _MISSING_SECONDS) if self._missing else left
            hinted = await self._hinted(min(left, _jittered(pause)) if self.failing else left)
            pause = min(_RETRY_LIMIT, pause * 2) if self.failing else _RETRY_FIRST
            if hinted or loop.time() >= due:
                await self._round(self._kinds)
                due = loop.time() + self._period()
                if not hinted:
                    self.wake_all()
            else:
                await self._round((*self.failing, *self._missing))

    def _period(self) -> float:
        return self._settings.delays.resync * random.uniform(0.8, 1.0)  # noqa: S311 - jitter

    async def _hinted(self, seconds: float) -> bool:
        """Wait this long; return early where the watch layer listed, once that has settled."""
        try:
            async with asyncio.timeout(seconds):
                await self._wakeups.relisted.wait()
        except TimeoutError:
            return False
        await asyncio.sleep(_HINT_SECONDS)
        self._wakeups.relisted.clear()
        return True

    def wake_all(self) -> None:
        """Queue a pass for every object of ours."""
        for kind in kinds.OWN:
            for namespace, name in self._cache.names(kind):
                self._queue.add(Key(kind.plural, namespace, name), behind=True)
        for namespace in {place for place, _ in self._cache.names(kinds.INFERENCE_POOLS)}:
            self._queue.add(Key(names.GATEWAYS, namespace, names.GATEWAY), behind=True)

    async def refresh(self, key: Key) -> None:
        """Read one of our own objects live and keep what is found; other keys have none."""
        kind = next((each for each in kinds.OWN if each.plural == key.plural), None)
        if kind is None:
            return
        live = await self._cluster.get(kind, key.namespace, key.name)
        known = self._cache.get(kind, key.namespace, key.name)
        if live is not None:
            self._wakeups.changed(kind, live)
        elif known is not None:
            self._wakeups.gone(kind, known)

    async def _round(self, chosen: Iterable[Kind]) -> None:
        before, missing = self.watchable, frozenset(self._missing)
        for kind in chosen:
            await self._list(kind)
        if self._cache.synced and not self.synced.is_set():
            self.wake_all()
            self.synced.set()
        if self.watchable != before:
            self.changed.set()
        if self._missing != missing:
            self.wake_all()

    async def _list(self, kind: Kind) -> None:
        """List one kind completely; a trouble is said once and kept."""
        try:
            await self._replace(kind)
        except ApiError as error:
            if isinstance(error, NotFoundError) and kind in kinds.OPTIONAL:
                self._miss(kind)
                return
            if self.failing.get(kind) != str(error):
                log.warning("not listed: %s", error, extra={"resource": kind.plural})
            self.failing[kind] = str(error)
            if isinstance(error, NotFoundError) and kind in kinds.OWN:
                self._count_absent(kind)
            return
        self._absent.pop(kind, None)
        self._missing.discard(kind)
        if self.failing.pop(kind, None) is not None:
            log.info("listed again", extra={"resource": kind.plural})

    def _miss(self, kind: Kind) -> None:
        """Take that the cluster does not have an optional kind; it may be installed any time."""
        if kind not in self._missing:
            log.info("the cluster has none", extra={"resource": kind.plural})
        self._missing.add(kind)
        self.failing.pop(kind, None)
        self._cache.absent(kind)

    def _count_absent(self, kind: Kind) -> None:
        """Believe that a kind is not there only when it was said twice: then so are its objects."""
        self._absent[kind] = self._absent.get(kind, 0) + 1
        if self._absent[kind] >= _GONE_AFTER:
            for manifest in self._cache.replace_all(kind, (), namespace=self._settings.namespace):
                self._wakeups.wake(kind, manifest, gone=True)

    async def _replace(self, kind: Kind) -> None:
        """Put every page as it comes, then forget what none of them held."""
        selector = "" if kind in kinds.OWN else _SELECTOR
        namespace = self._settings.namespace
        for attempt in range(_GONE_AFTER + 1):
            since, present = self._cache.moment, set[tuple[str, str]]()
            try:
                async for page in self._cluster.pages(
                    kind, namespace, label_selector=selector, limit=_PAGE
                ):
                    present |= self._put(kind, page)
            except GoneError:
                if attempt == _GONE_AFTER:
                    raise
                continue
            lost = self._cache.prune(kind, present, since=since, namespace=namespace)
            for manifest in lost:
                self._wakeups.wake(kind, manifest, gone=True)
            return

    def _put(self, kind: Kind, page: Iterable[Manifest]) -> set[tuple[str, str]]:
        found = set()
        for manifest in page:
            self._wakeups.listed(kind, manifest)
            found.add(place_of(manifest))
        return found


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.0)  # noqa: S311 - jitter
