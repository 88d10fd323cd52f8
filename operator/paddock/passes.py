"""The workers: take a key, run its pass, decide when it comes again. Holds the one catch-all.

An exception never ends a worker: it is told in the object's status, and the key comes again with
back-off. What passes by itself (a conflict, an apiserver that is away) is told only if it lasts.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from paddock.errors import ApiError, ConflictError, NotFoundError, PaddockError
from paddock.facts import Blocked, Done, Key, Outcome, Wait
from paddock.lease import LostLeadershipError
from paddock.queue import Queue
from paddock.telemetry.logs import bound
from paddock.telemetry.spans import span

log = logging.getLogger("paddock.passes")
_TOLD_AFTER = 4
_STANDBY_SECONDS = 2.0
_SERVER_ERROR = 500
_TOO_MANY = 429


class Reconciler(Protocol):
    """What a pass does: reads, plans and writes one object's world."""

    async def __call__(self, key: Key) -> Outcome:
        """Run one pass over the object of a key."""
        ...

    async def report_failure(self, key: Key, error: PaddockError) -> None:
        """Tell in the object's status that a pass could not be finished."""
        ...


class Refresh(Protocol):
    """Reads one of our own objects live."""

    async def __call__(self, key: Key) -> None:
        """Bring what is cached of the object up to date."""
        ...


class Passes:
    """A fixed number of workers over one queue.

    `outcomes` counts how passes ended, by the object's plural; `took` is told how long each was.
    """

    def __init__(
        self,
        queue: Queue[Key],
        reconcile: Reconciler,
        refresh: Refresh,
        took: Callable[[Key, float], None] = lambda _key, _seconds: None,
    ) -> None:
        self._queue, self._reconcile, self._refresh = queue, reconcile, refresh
        self._took = took
        self._workers: set[asyncio.Task[None]] = set()
        self._busy: set[asyncio.Task[None]] = set()
        self._draining = False
        self.outcomes: Counter[tuple[str, str]] = Counter()

    async def run(self, workers: int) -> None:
        """Work until cancelled; passes under way are cancelled with it."""
        self._workers = {asyncio.create_task(self._work()) for _ in range(workers)}
        try:
            ended, _ = await asyncio.wait(self._workers, return_when=asyncio.FIRST_EXCEPTION)
            for task in ended:
                if not task.cancelled():
                    task.result()
        finally:
            for task in self._workers:
                task.cancel()
            await asyncio.gather(*self._workers, return_exceptions=True)

    async def drain(self, seconds: float) -> None:
        """Take no more keys, and give the passes under way this long to end."""
        self._draining = True
        for task in self._workers - self._busy:
            task.cancel()
        if self._busy:
            await asyncio.wait(set(self._busy), timeout=seconds)

    async def _work(self) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in a task
        while not self._draining:
            key = await self._queue.take()
            self._busy.add(task)
            began = task.get_loop().time()
            try:
                with bound(kind=key.plural, namespace=key.namespace, name=key.name):
                    await self._pass(key)
            finally:
                self._busy.discard(task)
                self._took(key, task.get_loop().time() - began)

    async def _pass(self, key: Key) -> None:
        try:
            with span("pass", kind=key.plural, name=key.name, namespace=key.namespace):
                outcome = await self._reconcile(key)
        except asyncio.CancelledError:
            self._queue.done(key, _STANDBY_SECONDS)
            raise
        except LostLeadershipError:
            self.outcomes[key.plural, "Dropped"] += 1
            self._queue.done(key, _STANDBY_SECONDS)
        except Exception as error:  # noqa: BLE001 - the one catch-all: told, then tried again
            await self._failed(key, error)
        else:
            self._ended(key, outcome)

    def _ended(self, key: Key, outcome: Outcome) -> None:
        self.outcomes[key.plural, type(outcome).__name__] += 1
        match outcome:
            case Wait(seconds):
                self._queue.done(key, seconds)
            case Blocked():
                self._queue.failed(key)
            case Done():
                self._queue.done(key)
        for each in outcome.wake:
            self._queue.add(each)

    async def _failed(self, key: Key, error: Exception) -> None:
        """Log once, tell the user in the status, come again with back-off."""
        passing = _passes_by_itself(error)
        self.outcomes[key.plural, "Conflict" if isinstance(error, ConflictError) else "Failed"] += 1
        if not isinstance(error, PaddockError):
            log.error("pass failed", exc_info=error)
        elif not passing:
            log.warning("pass failed: %s", error)
        told = not passing or self._queue.failures(key) + 1 >= _TOLD_AFTER
        try:
            if isinstance(error, ConflictError | NotFoundError):
                await self._refresh(key)
            if told:
                await self._reconcile.report_failure(key, _known(error))
        except asyncio.CancelledError:
            self._queue.done(key, _STANDBY_SECONDS)
            raise
        except Exception as second:  # noqa: BLE001 - a pass must never end its worker
            log.warning("status not written: %s", second)
        after = error.retry_after if isinstance(error, ApiError) else None
        self._queue.failed(key, after or 0.0)


def _passes_by_itself(error: Exception) -> bool:
    """Tell whether the error is likely gone in a moment, so that a status would only flicker."""
    if isinstance(error, ConflictError | NotFoundError):
        return True
    if not isinstance(error, ApiError):
        return False
    return error.status in (0, _TOO_MANY) or error.status >= _SERVER_ERROR


def _known(error: Exception) -> PaddockError:
    if isinstance(error, PaddockError):
        return error
    return PaddockError("The operator failed; its log has the details.")
