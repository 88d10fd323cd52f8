"""The queue: each key once, one pass of a key at a time, back-off that ends with success."""

import asyncio

from paddock.queue import Queue


async def taken(queue: Queue[str]) -> str:
    return await asyncio.wait_for(queue.take(), 1)


def queue() -> Queue[str]:
    return Queue(first=0.02, limit=0.08)


async def is_empty(subject: Queue[str]) -> bool:
    await asyncio.sleep(0)
    return len(subject) == 0


async def test_item_added_often_comes_once() -> None:
    subject = queue()
    for _ in range(5):
        subject.add("a")
    assert await taken(subject) == "a"
    subject.done("a")
    assert subject.is_idle


async def test_items_come_in_the_order_of_their_arrival() -> None:
    subject = queue()
    for item in "cab":
        subject.add(item)
    assert [await taken(subject) for _ in range(3)] == ["c", "a", "b"]


async def test_busy_item_does_not_starve_the_others() -> None:
    subject = queue()
    order = []
    subject.add("busy")
    subject.add("other")
    for _ in range(3):
        item = await taken(subject)
        order.append(item)
        subject.add("busy")
        subject.done(item)
    assert order == ["busy", "other", "busy"]


async def test_item_added_during_its_pass_comes_again_after_it_and_not_beside_it() -> None:
    subject = queue()
    subject.add("a")
    await taken(subject)
    subject.add("a")
    subject.add("a")
    assert await is_empty(subject)
    subject.done("a")
    assert await taken(subject) == "a"
    subject.done("a")
    assert subject.is_idle


async def test_item_comes_again_after_its_wait() -> None:
    subject = queue()
    subject.add("a")
    await taken(subject)
    subject.done("a", again_after=0.02)
    assert await is_empty(subject)
    assert await taken(subject) == "a"


async def test_event_cuts_a_wait_short() -> None:
    subject = queue()
    subject.add_after("a", 60)
    subject.add("a")
    assert await taken(subject) == "a"
    subject.done("a")
    assert subject.is_idle


async def test_sooner_wait_wins() -> None:
    subject = queue()
    subject.add_after("a", 60)
    subject.add_after("a", 0.01)
    subject.add_after("a", 60)
    assert await taken(subject) == "a"


async def test_back_off_doubles_up_to_its_limit_and_ends_with_success() -> None:
    subject = queue()
    delays = []
    subject.add("a")
    for _ in range(5):
        await taken(subject)
        delays.append(subject.failed("a"))
    assert subject.failures("a") == 5
    for delay, ceiling in zip(delays, [0.02, 0.04, 0.08, 0.08, 0.08], strict=True):
        assert ceiling / 2 <= delay <= ceiling
    await taken(subject)
    subject.done("a")
    assert subject.failures("a") == 0


async def test_server_may_ask_for_a_longer_wait() -> None:
    subject = queue()
    subject.add("a")
    await taken(subject)
    assert subject.failed("a", at_least=7.0) == 7.0


async def test_events_about_a_failing_item_make_no_tight_loop() -> None:
    subject = queue()
    loop = asyncio.get_running_loop()
    subject.add("a")
    began, passes = loop.time(), 0
    while loop.time() - began < 0.2:
        await taken(subject)
        passes += 1
        subject.add("a")
        subject.failed("a")
        subject.add("a")
    assert passes <= 0.2 / (0.02 / 2) + 1


async def test_waiting_workers_share_the_items() -> None:
    subject = queue()
    workers = [asyncio.create_task(taken(subject)) for _ in range(3)]
    await asyncio.sleep(0)
    for item in "abc":
        subject.add(item)
    assert sorted(await asyncio.gather(*workers)) == ["a", "b", "c"]


async def test_news_goes_before_what_merely_comes_again() -> None:
    subject = queue()
    for number in range(2000):
        subject.add(f"settled {number}", behind=True)
    subject.add("settled 1999")
    subject.add("new")
    assert [await taken(subject) for _ in range(3)] == ["settled 1999", "new", "settled 0"]
    assert len(subject) == 1998


async def test_what_comes_after_a_wait_goes_behind_the_news() -> None:
    subject = queue()
    subject.add_after("polled", 0.0)
    while not len(subject):  # noqa: ASYNC110 - a queue has no event for its waits
        await asyncio.sleep(0)
    subject.add("new")
    assert [await taken(subject) for _ in range(2)] == ["new", "polled"]


async def test_news_without_end_does_not_starve_what_comes_again() -> None:
    subject = queue()
    for number in range(50):
        subject.add(f"new {number:02}")
    for number in range(5):
        subject.add(f"settled {number}", behind=True)
    order = [await taken(subject) for _ in range(25)]
    assert [place for place, item in enumerate(order) if item.startswith("settled")] == [
        4, 9, 14, 19, 24,
    ]  # fmt: skip


async def test_resync_does_not_put_news_behind() -> None:
    subject = queue()
    subject.add("new")
    subject.add("new", behind=True)
    subject.add("newer")
    assert [await taken(subject) for _ in range(2)] == ["new", "newer"]
    assert len(subject) == 0
