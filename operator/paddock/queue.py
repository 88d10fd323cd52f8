"""The queue of passes: each key once, never two passes of one key at a time, back-off in memory.

Knows nothing of Kubernetes. One event loop, no locks. News goes before what merely comes again (a
poll, a back-off, a resync of thousands), and each lane is first come, first served: neither a busy
key nor a busy lane can starve the others.
"""

import asyncio
import random
from collections.abc import Hashable
from typing import Generic, TypeVar

_Item = TypeVar("_Item", bound=Hashable)
_MOST_DOUBLINGS = 30
_NEWS_IN_A_ROW = 4
"""After so many news that were taken, one of those that come again has its turn."""


class Queue(Generic[_Item]):
    """De-duplicated items; an item added during its own pass comes again after it.

    An item whose last pass failed comes at most once in `first` seconds, whatever adds it.
    """

    def __init__(self, *, first: float, limit: float) -> None:
        self._first, self._limit = first, limit
        self._news: dict[_Item, None] = {}
        self._again: dict[_Item, None] = {}
        self._in_a_row = 0
        self._busy: set[_Item] = set()
        self._dirty: dict[_Item, float] = {}
        self._timers: dict[_Item, asyncio.TimerHandle] = {}
        self._failures: dict[_Item, int] = {}
        self._event = asyncio.Event()

    def __len__(self) -> int:
        """Return how many items wait for their turn now."""
        return len(self._news) + len(self._again)

    @property
    def is_idle(self) -> bool:
        """Return whether nothing waits for its turn and nothing is under way."""
        return not len(self) and not self._busy and not self._dirty

    def failures(self, item: _Item) -> int:
        """Return how many passes of an item failed in a row."""
        return self._failures.get(item, 0)

    def add(self, item: _Item, within: float = 0.0, *, behind: bool = False) -> None:
        """Add an item for a pass at once, or within so many seconds, together with what follows.

        One that is not news is to come `behind` those that are.
        """
        if item in self._busy:
            self._dirty[item] = min(within, self._dirty.get(item, within))
        elif item in self._timers and item in self._failures:
            self.add_after(item, max(within, self._first))
        elif within:
            self.add_after(item, within)
        else:
            self._make_ready(item, self._again if behind else self._news)

    def add_after(self, item: _Item, seconds: float) -> None:
        """Add an item later, unless it is to come sooner anyhow."""
        if item in self._news or item in self._again or item in self._dirty:
            return
        loop = asyncio.get_running_loop()
        planned = self._timers.get(item)
        if planned is not None and planned.when() <= loop.time() + seconds:
            return
        self._cancel_timer(item)
        self._timers[item] = loop.call_later(seconds, self._make_ready, item, self._again)

    async def take(self) -> _Item:
        """Wait for the next item; it is busy until `done` or `failed`."""
        while not len(self):
            self._event.clear()
            await self._event.wait()
        is_turn = self._in_a_row >= _NEWS_IN_A_ROW
        lane = self._again if self._again and (is_turn or not self._news) else self._news
        self._in_a_row = self._in_a_row + 1 if lane is self._news else 0
        item = next(iter(lane))
        del lane[item]
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

    def _make_ready(self, item: _Item, lane: dict[_Item, None]) -> None:
        self._cancel_timer(item)
        if item not in self._news:
            if lane is self._news:
                self._again.pop(item, None)
            lane[item] = None
        self._event.set()

    def _cancel_timer(self, item: _Item) -> None:
        timer = self._timers.pop(item, None)
        if timer is not None:
            timer.cancel()
