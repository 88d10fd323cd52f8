"""Keeps the watch layer alive in this process: starts it again with capped back-off, and counts.

kopf ends its whole operator on an in-stream 500 or a list that is refused; that must not end ours.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from paddock.clock import Clock

log = logging.getLogger("paddock.supervisor")
_STEADY_SECONDS = 60.0
_LONGEST = 200


class Supervisor:
    """Runs one coroutine for ever; `restarts` counts how often it ended."""

    def __init__(self, clock: Clock, *, first: float, limit: float) -> None:
        self._clock, self._first, self._limit = clock, first, limit
        self.restarts = 0

    async def run(self, start: Callable[[], Awaitable[None]]) -> None:
        """Start, and start again when it ends, until cancelled."""
        delay = self._first
        while True:
            began = self._clock.monotonic()
            try:
                await start()
                log.warning("the watch layer ended")
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever ended it, it is started again
                words = str(error)[:_LONGEST]
                log.warning("the watch layer failed: %s: %s", type(error).__name__, words)
            self.restarts += 1
            if self._clock.monotonic() - began > _STEADY_SECONDS:
                delay = self._first
            await asyncio.sleep(delay)
            delay = min(self._limit, delay * 2)
