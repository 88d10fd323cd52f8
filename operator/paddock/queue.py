"""The queue of passes: each key once, never two passes of one key at a time, back-off in memory.

Knows nothing of Kubernetes. One event loop, no locks. First come, first served: a busy key cannot
starve the others.
"""

import asyncio
import random
from collections.abc import Hashable
from typing import Generic, TypeVar

_Item = TypeVar("_Item", bound=Hashable)
_MOST_DOUBLINGS = 30


class Queue(Generic[_Item]):
    """De-duplicated items; an item added during its own pass comes again after it.

    An item whose last pass failed comes at most once in `first` seconds, whatever adds it.
    """

    def __init__(self, *, first: float, limit: float) -> None:
        self._first, self._limit = first, limit
        self._ready: dict[_Item, None] = {}
        self._busy: set[_Item] = set()
        self._dirty: dict[_Item, float] = {}
        self._timers: dict[_Item, asyncio.TimerHandle] = {}
        self._failures: dict[_Item, int] = {}
        self._event = asyncio.Event()

    def __len__(self) -> int:
        """Return how many items wait for their turn now."""
        return len(self._ready)

    @property
    def is_idle(self) -> bool:
        """Return whether nothing waits for its turn and nothing is under way."""
        return not self._ready and not self._busy and not self._dirty

    def failures(self, item: _Item) -> int:
        """Return how many passes of an item failed in a row."""
        return self._failures.get(item, 0)

    def add(self, item: _Item, within: float = 0.0) -> None:
        """Add an item for a pass at once, or within so many seconds, together with what follows."""
        if item in self._busy:
            self._dirty[item] = min(within, self._dirty.get(item, within))
        elif item in self._timers and item in self._failures:
            self.add_after(item, max(within, self._first))
        elif within:
            self.add_after(item, within)
        else:
            self._make_ready(item)

    def add_after(self, item: _Item, seconds: float) -> None:
        """Add an item later, unless it is to come sooner anyhow."""
        if item in self._ready or item in self._dirty:
            return
        loop = asyncio.get_running_loop()
        planned = self._timers.get(item)
        if planned is not None and planned.when() <= loop.time() + seconds:
            return
        self._cancel_timer(item)
        self._timers[item] = loop.call_later(seconds, self._make_ready, item)

    async def take(self) -> _Item:
        """Wait for the next item; it is busy until `done` or `failed`."""
        while not self._ready:
            self._event.clear()
            await self._event.wait()
        item = next(iter(self._ready))
        del self._ready[item]
        self._busy.add(item)
        return item

    def done(self, item: _Item, again_after: float | None = None) -> None:
        """End an item's pass; its failures are forgotten."""
        self._failures.pop(item, None)
        self._busy.discard(item)
        if item in self._dirty:
            self.add(item, self._dirty.pop(item))
        elif again_after is not None:
            self.add_after(item, again_after)

    def failed(self, item: _Item, at_least: float = 0.0) -> float:
        """End an item's pass with back-off; return the seconds until it comes again."""
        count = self._failures.get(item, 0)
        self._failures[item] = count + 1
        ceiling = min(self._limit, self._first * 2.0 ** min(count, _MOST_DOUBLINGS))
        delay: float = max(at_least, ceiling * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        if item in self._dirty:
            delay = max(at_least, min(delay, self._first))
        self._busy.discard(item)
        self._dirty.pop(item, None)
        self.add_after(item, delay)
        return delay

    def _make_ready(self, item: _Item) -> None:
        self._cancel_timer(item)
        self._ready[item] = None
        self._event.set()

    def _cancel_timer(self, item: _Item) -> None:
        timer = self._timers.pop(item, None)
        if timer is not None:
            timer.cancel()
