"""One wake-up per pool, whoever waits: scale up once, then ask its engines until one answers.

I/O. The wake-up of a pool ends when the last that waits for it has left; what was scaled up stays,
and goes when the operator finds it idle.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from paddock.activator.answers import Answer, RefusedError
from paddock.activator.apiserver import Apiserver
from paddock.activator.targets import Target, addresses_of
from paddock.api.inferencepool import HEALTH_PATHS, InferencePool
from paddock.errors import ApiError, ConflictError, ForbiddenError

log = logging.getLogger("paddock.activator")
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0
_PROBE_PAUSE = 0.05
_PROBE_SECONDS = aiohttp.ClientTimeout(total=1.0)
_LOOK_AGAIN_SECONDS = 10.0
"""Somebody may have scaled the pool down again while callers wait."""
_KNOWN_SECONDS = 1.0
_OK = 200


@dataclass(slots=True)
class _Waking:
    task: asyncio.Task[tuple[str, ...]]
    waiters: int = 0


class Wakes:
    """The wake-ups under way."""

    def __init__(self, apiserver: Apiserver, engines: aiohttp.ClientSession) -> None:
        self._apiserver, self._engines = apiserver, engines
        self._under_way: dict[Target, _Waking] = {}
        self._known: dict[Target, tuple[float, tuple[str, ...]]] = {}

    async def addresses(self, target: Target) -> tuple[str, ...]:
        """Wait until engines of the pool answer, waking it if need be; return their addresses."""
        until, known = self._known.get(target, (0.0, ()))
        if until > time.monotonic():
            return known
        waking = self._under_way.get(target)
        if waking is None:
            waking = self._under_way[target] = _Waking(asyncio.create_task(self._wake(target)))
        waking.waiters += 1
        try:
            return await asyncio.shield(waking.task)
        finally:
            waking.waiters -= 1
            if waking.task.done() or not waking.waiters:
                self._end(target, waking)

    def forget(self, target: Target) -> None:
        """Forget where a pool's engines are, because one of them did not take a connection."""
        self._known.pop(target, None)

    def _end(self, target: Target, waking: _Waking) -> None:
        """End a wake-up that is done, or that nobody waits for."""
        if waking.task.done() and not waking.task.cancelled():
            waking.task.exception()  # seen by those who waited
        waking.task.cancel()
        if self._under_way.get(target) is waking:
            del self._under_way[target]

    async def _wake(self, target: Target) -> tuple[str, ...]:
        pause = _FIRST_PAUSE
        while True:
            try:
                pool = await self._scaled_up(target)
                found = await self._answering(target, HEALTH_PATHS[pool.spec.engine.name])
            except ConflictError:
                continue
            except ForbiddenError as error:
                log.error("not allowed to wake %s: %s", target, error)  # noqa: TRY400 - the words are all
                raise RefusedError(_unavailable("The pool cannot be woken.")) from error
            except (ApiError, aiohttp.ClientError, TimeoutError, OSError) as error:
                log.warning("waking %s: %s", target, str(error) or type(error).__name__)
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)
                continue
            if found:
                self._remember(target, found)
                return found

    def _remember(self, target: Target, found: tuple[str, ...]) -> None:
        now = time.monotonic()
        self._known = {key: value for key, value in self._known.items() if value[0] > now}
        self._known[target] = (now + _KNOWN_SECONDS, found)

    async def _scaled_up(self, target: Target) -> InferencePool:
        """Give the pool its least replicas, if it has none; return it."""
        pool, scale = await asyncio.gather(
            self._apiserver.pool(target), self._apiserver.scale(target)
        )
        if pool is None or pool.metadata.deletion_timestamp is not None:
            raise RefusedError(Answer(404, "pool_not_found", f"There is no pool {target.name}."))
        if scale is None:
            raise RefusedError(_unavailable(f"{target.name} has no replicas yet; see its status."))
        if scale.replicas == 0:
            replicas = _least(pool)
            if not replicas:
                raise RefusedError(_unavailable(f"{target.name} is scaled to zero by its owner."))
            await self._apiserver.set_scale(target, replicas, scale.resource_version)
            log.info("woke %s: %d replicas", target, replicas)
        return pool

    async def _answering(self, target: Target, health_path: str) -> tuple[str, ...]:
        """Return the engines that answer as soon as one does, or nothing after a while."""
        latest: list[str] = []
        changed = asyncio.Event()

        async def follow() -> None:
            async for slices in self._apiserver.watch_slices(target.namespace, target.child):
                latest[:] = addresses_of(slices)
                changed.set()

        following = asyncio.create_task(follow())
        try:
            async with asyncio.timeout(_LOOK_AGAIN_SECONDS):
                while not following.done():
                    found = await self._healthy(latest, health_path)
                    if found:
                        return found
                    changed.clear()
                    await _either(changed, following, _PROBE_PAUSE if latest else None)
                following.result()
        except TimeoutError:
            pass
        finally:
            following.cancel()
            await asyncio.wait({following})
        return ()

    async def _healthy(self, addresses: Sequence[str], path: str) -> tuple[str, ...]:
        asked = list(addresses)
        answers = await asyncio.gather(*(self._answers(f"http://{each}{path}") for each in asked))
        return tuple(each for each, answer in zip(asked, answers, strict=True) if answer)

    async def _answers(self, url: str) -> bool:
        try:
            async with self._engines.get(url, timeout=_PROBE_SECONDS) as answer:
                return answer.status == _OK
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False


def _least(pool: InferencePool) -> int:
    """Return the replicas to wake a pool with: none where its owner wants none."""
    if pool.spec.scaling is not None:
        return max(1, pool.spec.scaling.least or 0)
    return 1 if pool.spec.replicas is None else pool.spec.replicas


async def _either(
    changed: asyncio.Event, following: "asyncio.Task[None]", seconds: float | None
) -> None:
    """Wait for news, for the end of the watch, or for so many seconds."""
    news = asyncio.create_task(changed.wait())
    try:
        await asyncio.wait({news, following}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        news.cancel()


def _unavailable(message: str) -> Answer:
    return Answer(503, "pool_not_ready", message, retry_after=10)
