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


def tiny(version: int, *, generation: int, observed: int) -> Manifest:
    return {
        "apiVersion": LOCAL_MODELS.api_version,
        "kind": LOCAL_MODELS.kind,
        "metadata": {
            "name": "tiny", "namespace": "team", "uid": "u", "resourceVersion": str(version),
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
