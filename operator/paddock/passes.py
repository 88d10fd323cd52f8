"""The workers: take a key, run its pass, decide when it comes again. Holds the one catch-all."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable

from paddock.errors import ApiError, PaddockError
from paddock.facts import Blocked, Key, Outcome, Wait
from paddock.lease import LostLeadershipError
from paddock.queue import Queue
from paddock.telemetry.spans import span

log = logging.getLogger("paddock.passes")

Reconcile = Callable[[Key], Awaitable[Outcome]]
ReportFailure = Callable[[Key, PaddockError], Awaitable[None]]


class Passes:
    """A fixed number of workers over one queue; `outcomes` counts how passes ended."""

    def __init__(
        self, queue: Queue[Key], reconcile: Reconcile, report_failure: ReportFailure
    ) -> None:
        self._queue, self._reconcile, self._report = queue, reconcile, report_failure
        self.outcomes: Counter[str] = Counter()

    async def run(self, workers: int) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(workers):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            key = await self._queue.take()
            try:
                with span("pass", kind=key.plural, name=key.name, namespace=key.namespace):
                    outcome = await self._reconcile(key)
            except asyncio.CancelledError:
                self._queue.done(key)
                raise
            except LostLeadershipError:
                self.outcomes["dropped"] += 1
                self._queue.done(key)
            except Exception as error:  # noqa: BLE001 - the one catch-all: told, then tried again
                await self._failed(key, error)
            else:
                self._ended(key, outcome)

    def _ended(self, key: Key, outcome: Outcome) -> None:
        self.outcomes[type(outcome).__name__] += 1
        match outcome:
            case Wait(seconds):
                self._queue.done(key, seconds)
            case Blocked():
                self._queue.failed(key)
            case _:
                self._queue.done(key)

    async def _failed(self, key: Key, error: Exception) -> None:
        """Log once, tell the user in the status, come again with back-off."""
        self.outcomes["Failed"] += 1
        words = {"kind": key.plural, "namespace": key.namespace, "name": key.name}
        if isinstance(error, PaddockError):
            log.warning("pass failed: %s", error, extra=words)
            known = error
        else:
            log.error("pass failed", exc_info=error, extra=words)
            known = PaddockError("The operator failed; its log has the details.")
        after = error.retry_after if isinstance(error, ApiError) else None
        try:
            await self._report(key, known)
        except Exception as second:  # noqa: BLE001 - a pass must never end its worker
            log.warning("status not written: %s", second, extra=words)
        finally:
            self._queue.failed(key, after or 0.0)
