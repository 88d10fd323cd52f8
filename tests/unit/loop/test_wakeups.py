"""Which events and lists wake a pass: what no pass has seen, whoever brought it to the cache."""

from collections.abc import Callable

import pytest

from paddock.facts import Key
from paddock.handlers import Wakeups
from paddock.kinds import LOCAL_MODELS
from paddock.kube.cache import Cache
from paddock.queue import Queue
from paddock.resync import ALL
from paddock.routes import index_of
from paddock.wire import Manifest

TINY = Key(LOCAL_MODELS.plural, "team", "tiny")
Way = Callable[[Wakeups, Manifest], None]
WAYS: dict[str, Way] = {
    "watched": lambda wakeups, manifest: wakeups.changed(LOCAL_MODELS, manifest),
    "relisted": lambda wakeups, manifest: wakeups.relisted_with(LOCAL_MODELS, manifest),
    "listed": lambda wakeups, manifest: wakeups.listed(LOCAL_MODELS, manifest),
}


def tiny(version: int, *, generation: int, observed: int, name: str = "tiny") -> Manifest:
    return {
        "apiVersion": LOCAL_MODELS.api_version,
        "kind": LOCAL_MODELS.kind,
        "metadata": {
            "name": name, "namespace": "team", "uid": name, "resourceVersion": str(version),
            "generation": generation,
        },
        "spec": {"source": "https://models.example.com/a.gguf"},
        "status": {"observedGeneration": observed},
    }  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("observed", "woken"), [(1, True), (2, False)])
async def test_spec_that_came_to_us_by_our_own_write_is_news_until_it_is_observed(
    way: str, observed: int, *, woken: bool
) -> None:
    cache, queue = Cache(ALL, index_of), Queue[Key](first=0.5, limit=1.0)
    written = tiny(11, generation=2, observed=observed)
    cache.put(LOCAL_MODELS, written)
    WAYS[way](Wakeups(cache, queue, 0.0), written)

    assert len(queue) == woken
    if woken:
        assert await queue.take() == TINY


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_older_than_the_cache_wakes_nobody(way: str) -> None:
    cache, queue = Cache(ALL, index_of), Queue[Key](first=0.5, limit=1.0)
    cache.put(LOCAL_MODELS, tiny(11, generation=2, observed=2))
    WAYS[way](Wakeups(cache, queue, 0.0), tiny(10, generation=2, observed=1))

    assert len(queue) == 0


async def test_change_goes_before_the_first_passes_of_two_thousand_settled_objects() -> None:
    queue = Queue[Key](first=0.5, limit=1.0)
    wakeups = Wakeups(Cache(ALL, index_of), queue, 60.0)
    for number in range(2000):
        settled = tiny(number + 1, generation=1, observed=1, name=f"m{number:04}")
        wakeups.listed(LOCAL_MODELS, settled)
    first = [await queue.take() for _ in range(8)]
    wakeups.changed(LOCAL_MODELS, tiny(3000, generation=2, observed=1, name="m1999"))
    wakeups.changed(LOCAL_MODELS, tiny(3001, generation=1, observed=0, name="new"))

    assert [each.name for each in first] == [f"m{number:04}" for number in range(8)]
    assert [(await queue.take()).name for _ in range(3)] == ["m1999", "new", "m0008"]
    assert len(queue) == 2000 - 8 - 2


async def test_what_nobody_has_looked_at_is_first_after_a_restart() -> None:
    queue = Queue[Key](first=0.5, limit=1.0)
    wakeups = Wakeups(Cache(ALL, index_of), queue, 60.0)
    for name, observed in (("settled", 1), ("changed", 0), ("also-settled", 1)):
        wakeups.listed(LOCAL_MODELS, tiny(7, generation=1, observed=observed, name=name))

    order = [(await queue.take()).name for _ in range(3)]
    assert order == ["changed", "settled", "also-settled"]
