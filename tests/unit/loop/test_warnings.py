"""Warnings about objects that wait: one list for all of a namespace, and not all the time."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from paddock.errors import ApiError
from paddock.facts import EventFact
from paddock.kube.cluster import Cluster
from paddock.observe.warnings import Warnings


class Recorded:
    """A cluster with some events, that counts how often it is asked; and a clock that is set."""

    def __init__(self, *events: tuple[str, str]) -> None:
        self.events, self.asked, self.time, self.is_down = events, 0, 0.0, False

    async def list(self, *_: object, **__: object) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        if self.is_down:
            raise ApiError(503, "It is down.")
        return tuple(
            {
                "involvedObject": {"kind": "Pod", "name": f"pod-{uid}", "uid": uid},
                "reason": reason,
                "message": "Words.",
            }
            for uid, reason in self.events
        )

    def monotonic(self) -> float:
        return self.time

    def now(self) -> datetime:
        return datetime(2026, 11, 21, tzinfo=UTC)


def warnings_of(recorded: Recorded) -> Warnings:
    return Warnings(cast("Cluster", recorded), recorded)


async def test_nobody_who_waits_asks_nothing() -> None:
    recorded = Recorded(("a", "FailedMount"))
    assert await warnings_of(recorded).about("team", ()) == ()
    assert recorded.asked == 0


async def test_all_who_wait_in_a_namespace_are_answered_by_one_list() -> None:
    recorded = Recorded(("a", "FailedMount"), ("b", "FailedScheduling"), ("a", "Unhealthy"))
    subject = warnings_of(recorded)
    first, second, none = await asyncio.gather(
        subject.about("team", ["a"]), subject.about("team", ["b"]), subject.about("team", ["c"])
    )
    assert [each.reason for each in first] == ["FailedMount", "Unhealthy"]
    assert second == (EventFact("Pod/pod-b", "FailedScheduling", "Words."),)
    assert none == ()
    assert recorded.asked == 1
    await subject.about("other", ["a"])
    assert recorded.asked == 2


async def test_list_is_made_again_after_a_few_seconds_and_after_a_failure() -> None:
    recorded = Recorded(("a", "FailedMount"))
    subject = warnings_of(recorded)
    await subject.about("team", ["a"])
    recorded.time = 3.0
    await subject.about("team", ["a"])
    assert recorded.asked == 1
    recorded.time = 5.0
    recorded.is_down = True
    with pytest.raises(ApiError):
        await subject.about("team", ["a"])
    recorded.is_down = False
    assert len(await subject.about("team", ["a"])) == 1
    assert recorded.asked == 3
