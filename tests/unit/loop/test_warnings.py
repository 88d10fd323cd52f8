"""Warnings about objects that wait: one list for all of a namespace, and not all the time."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from paddock.errors import ApiError
from paddock.facts import Done, EventFact, Key, Wait
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


def key(name: str) -> Key:
    return Key("localmodels", "team", name)


async def test_who_waits_is_woken_only_by_news() -> None:
    recorded = Recorded(("a", "FailedMount"))
    subject = warnings_of(recorded)
    for name in "abc":
        assert subject.known(key(name), [name]) == ()
        assert subject.looked_for(key(name)) == (Key("warnings", "team", ""),)
    assert await subject.look("team") == Wait(4.0, wake=(key("a"),))
    assert [each.reason for each in subject.known(key("a"), ["a"])] == ["FailedMount"]
    recorded.time = 4.0
    assert await subject.look("team") == Wait(4.0)
    recorded.time, recorded.events = 8.0, (("a", "FailedMount"), ("c", "FailedCreate"))
    assert await subject.look("team") == Wait(4.0, wake=(key("c"),))
    assert recorded.asked == 3


async def test_thousand_who_wait_cost_one_list_and_no_pass() -> None:
    recorded = Recorded()
    subject = warnings_of(recorded)
    for number in range(1000):
        subject.known(key(f"m{number}"), [f"u{number}"])
        assert await subject.look("team") == Wait(4.0)
    assert recorded.asked == 1


async def test_look_ends_when_nobody_waits_any_more() -> None:
    recorded = Recorded(("a", "FailedMount"))
    subject = warnings_of(recorded)
    subject.known(key("a"), ["a"])
    await subject.look("team")
    assert subject.known(key("a"), ()) == ()
    assert subject.looked_for(key("a")) == ()
    recorded.time = 4.0
    assert await subject.look("team") == Done()
    assert recorded.asked == 1
    assert subject.known(key("a"), ["a"]) == ()


async def test_warning_that_is_forgotten_by_the_cluster_wakes_too() -> None:
    recorded = Recorded(("a", "FailedMount"))
    subject = warnings_of(recorded)
    subject.known(key("a"), ["a"])
    await subject.look("team")
    recorded.time, recorded.events = 4.0, ()
    assert await subject.look("team") == Wait(4.0, wake=(key("a"),))
    assert subject.known(key("a"), ["a"]) == ()
