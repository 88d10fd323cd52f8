"""The workers: every way a pass may end, and that nothing ends a worker."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from paddock.api.reasons import Reason
from paddock.errors import ApiError, ConflictError, ForbiddenError, NotFoundError, PaddockError
from paddock.facts import Blocked, Done, Key, Outcome, Refusal, Wait
from paddock.lease import LostLeadershipError
from paddock.passes import Passes
from paddock.queue import Queue

KEY = Key("localmodels", "team", "tiny")
REFUSED = Blocked((Refusal("Job/x", Reason.FORBIDDEN, "The apiserver refuses Job/x."),))


class Script:
    """A reconciler that ends each pass as it is told, and remembers what it was asked."""

    def __init__(self, *steps: Outcome | Exception, report: Exception | None = None) -> None:
        self.steps, self.report = list(steps), report
        self.passes = 0
        self.told: list[PaddockError] = []
        self.refreshed: list[Key] = []
        self.ended = asyncio.Event()

    async def __call__(self, key: Key) -> Outcome:
        assert key == KEY
        self.passes += 1
        step = self.steps.pop(0)
        if not self.steps:
            self.ended.set()
        if isinstance(step, Exception):
            raise step
        return step

    async def report_failure(self, key: Key, error: PaddockError) -> None:
        assert key == KEY
        self.told.append(error)
        if self.report is not None:
            raise self.report

    async def refresh(self, key: Key) -> None:
        self.refreshed.append(key)


def by_name(passes: Passes) -> dict[str, int]:
    assert {plural for plural, _ in passes.outcomes} == {KEY.plural}
    return {outcome: count for (_, outcome), count in passes.outcomes.items()}


async def play(script: Script) -> tuple[Queue[Key], Passes]:
    """Run passes until the script is at its end and the queue at rest."""
    queue: Queue[Key] = Queue(first=0.002, limit=0.01)
    passes = Passes(queue, script, script.refresh)
    queue.add(KEY)
    running = asyncio.create_task(passes.run(2))
    await asyncio.wait_for(script.ended.wait(), 2)
    while not queue.is_idle:  # noqa: ASYNC110 - a queue has no event for its rest
        await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    return queue, passes


async def test_done_is_done() -> None:
    script = Script(Done())
    queue, passes = await play(script)
    assert (script.passes, queue.failures(KEY), by_name(passes)) == (1, 0, {"Done": 1})


async def test_wait_brings_the_key_back_without_failure() -> None:
    script = Script(Wait(0.001), Done())
    queue, _ = await play(script)
    assert (script.passes, queue.failures(KEY), script.told) == (2, 0, [])


async def test_blocked_key_backs_off_and_recovers() -> None:
    script = Script(REFUSED, REFUSED, Done())
    queue, passes = await play(script)
    assert (queue.failures(KEY), by_name(passes)) == (0, {"Blocked": 2, "Done": 1})


async def test_unexpected_exception_is_told_without_its_words_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    script = Script(KeyError("secret"), Done())
    _, passes = await play(script)
    assert [str(each) for each in script.told] == ["The operator failed; its log has the details."]
    assert by_name(passes) == {"Failed": 1, "Done": 1}
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_forbidden_is_told_at_once() -> None:
    script = Script(ForbiddenError(403, "no"), Done())
    await play(script)
    assert [str(each) for each in script.told] == ["no"]


@pytest.mark.parametrize(
    "error",
    [ApiError(0, "away"), ApiError(429, "busy"), ApiError(503, "down"), ConflictError(409, "x")],
)
async def test_passing_trouble_is_told_only_if_it_lasts(error: ApiError) -> None:
    brief = Script(error, error, error, Done())
    await play(brief)
    lasting = Script(*[error] * 4, Done())
    await play(lasting)
    assert (brief.told, lasting.told) == ([], [error])


@pytest.mark.parametrize("error", [ConflictError(409, "x"), NotFoundError(404, "y")])
async def test_object_is_read_again_after_a_conflict(error: ApiError) -> None:
    script = Script(error, Done())
    await play(script)
    assert script.refreshed == [KEY]


async def test_status_that_cannot_be_written_does_not_end_the_worker() -> None:
    script = Script(ForbiddenError(403, "no"), Done(), report=ApiError(500, "down"))
    _, passes = await play(script)
    assert by_name(passes) == {"Failed": 1, "Done": 1}


async def test_lost_leadership_keeps_the_key_for_later_and_writes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("paddock.passes._STANDBY_SECONDS", 0.01)
    script = Script(LostLeadershipError())
    queue, passes = await play(script)
    assert (by_name(passes), script.told, queue.failures(KEY)) == ({"Dropped": 1}, [], 0)
    assert await asyncio.wait_for(queue.take(), 5) == KEY


class Slow:
    """A reconciler whose pass ends when it is let go."""

    def __init__(self) -> None:
        self.began, self.go = asyncio.Event(), asyncio.Event()
        self.ends: list[str] = []

    async def __call__(self, key: Key) -> Outcome:
        assert key == KEY
        self.began.set()
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.ends.append("cancelled")
            raise
        self.ends.append("ended")
        return Done()

    async def report_failure(self, key: Key, error: PaddockError) -> None:
        raise AssertionError((key, error))


async def slow_pass(act: Callable[[Passes, Slow], Awaitable[None]]) -> list[str]:
    queue: Queue[Key] = Queue(first=0.01, limit=0.01)
    slow = Slow()
    passes = Passes(queue, slow, Script().refresh)
    queue.add(KEY)
    running = asyncio.create_task(passes.run(2))
    await asyncio.wait_for(slow.began.wait(), 1)
    await act(passes, slow)
    running.cancel()
    await asyncio.wait([running])
    return slow.ends


async def test_drain_lets_the_pass_under_way_end() -> None:
    async def act(passes: Passes, slow: Slow) -> None:
        draining = asyncio.create_task(passes.drain(5))
        await asyncio.sleep(0)
        slow.go.set()
        await asyncio.wait_for(draining, 1)

    assert await slow_pass(act) == ["ended"]


async def test_drain_does_not_wait_for_ever() -> None:
    async def act(passes: Passes, _: Slow) -> None:
        await passes.drain(0.01)

    assert await slow_pass(act) == ["cancelled"]


async def test_two_passes_of_one_key_never_overlap() -> None:
    queue: Queue[Key] = Queue(first=0.01, limit=0.01)
    running, most, count = 0, 0, 0

    class Overlap:
        async def __call__(self, key: Key) -> Outcome:
            assert key == KEY
            nonlocal running, most, count
            running, count = running + 1, count + 1
            most = max(most, running)
            queue.add(KEY) if count < 20 else None
            await asyncio.sleep(0)
            running -= 1
            return Done()

        async def report_failure(self, key: Key, error: PaddockError) -> None:
            raise AssertionError((key, error))

    working = asyncio.create_task(Passes(queue, Overlap(), Script().refresh).run(4))
    queue.add(KEY)
    while count < 20 or not queue.is_idle:  # noqa: ASYNC110 - a queue has no event for its rest
        await asyncio.sleep(0)
    working.cancel()
    await asyncio.wait([working])
    assert (most, count) == (1, 20)
