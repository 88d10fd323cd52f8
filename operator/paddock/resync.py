"""The backstop of the watches: complete paged lists, now and then, into the cache."""

import asyncio
import logging
import random

from paddock import kinds, names
from paddock.errors import ApiError
from paddock.facts import Key
from paddock.handlers import Wakeups
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.queue import Queue
from paddock.settings import Settings

log = logging.getLogger("paddock.resync")
_SELECTOR = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
_RETRY_SECONDS = 2.0


class Resync:
    """Lists every kind; the first complete round opens the passes."""

    def __init__(
        self,
        cluster: Cluster,
        cache: Cache,
        queue: Queue[Key],
        wakeups: Wakeups,
        settings: Settings,
    ) -> None:
        self._cluster, self._cache, self._queue = cluster, cache, queue
        self._wakeups, self._settings = wakeups, settings
        self.synced = asyncio.Event()

    async def run(self) -> None:
        """List until cancelled."""
        while True:
            try:
                await self.once()
                self.synced.set()
                delay = self._settings.delays.resync * random.uniform(0.8, 1.0)  # noqa: S311 - jitter
            except ApiError as error:
                log.warning("lists not complete: %s", error)
                delay = _RETRY_SECONDS
            await asyncio.sleep(delay)

    async def once(self) -> None:
        """List every kind once and queue a pass for every object of ours."""
        for kind in (*kinds.OWN, *kinds.WATCHED_CHILDREN):
            selector = "" if kind in kinds.OWN else _SELECTOR
            listed = await self._cluster.list(
                kind, self._settings.namespace, label_selector=selector
            )
            for manifest in self._cache.replace_all(kind, listed):
                self._wakeups.wake(kind, manifest)
        for kind in kinds.OWN:
            for manifest in self._cache.list(kind):
                metadata = manifest["metadata"]
                if isinstance(metadata, dict):
                    place, name = str(metadata["namespace"]), str(metadata["name"])
                    self._queue.add(Key(kind.plural, place, name))
