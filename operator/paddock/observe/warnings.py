"""Warnings that the cluster recorded about objects of ours that do not come up. Reads only.

Events are not watched: a cluster has far more of them than objects. They are listed once for all
who wait in a namespace, and not again for a few seconds.
"""

import asyncio
from collections.abc import Iterable, Mapping

from paddock import kinds
from paddock.clock import Clock
from paddock.facts import EventFact
from paddock.kube.cluster import Cluster
from paddock.observe.objects import event_fact
from paddock.observe.raw import text

_FRESH_SECONDS = 4.0
_SELECTOR = "type=Warning"

_Found = Mapping[str, tuple[EventFact, ...]]
"""By the uid of the object they are about."""


class Warnings:
    """What was recorded of late, by namespace."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock
        self._asked: dict[str, tuple[float, asyncio.Task[_Found]]] = {}

    async def about(self, namespace: str, uids: Iterable[str]) -> tuple[EventFact, ...]:
        """Return the warnings about these objects; nobody is asked where there are none."""
        wanted = set(uids)
        if not wanted:
            return ()
        found = await asyncio.shield(self._recent(namespace))
        facts = {fact for uid in wanted for fact in found.get(uid, ())}
        return tuple(sorted(facts, key=lambda fact: (fact.object, fact.reason, fact.message)))

    def _recent(self, namespace: str) -> "asyncio.Task[_Found]":
        """Return the answer there is, or the question that is being asked; drop what is old."""
        now = self._clock.monotonic()
        self._asked = {
            place: (moment, task)
            for place, (moment, task) in self._asked.items()
            if now - moment < _FRESH_SECONDS and not _failed(task)
        }
        if namespace not in self._asked:
            self._asked[namespace] = now, asyncio.create_task(self._list(namespace))
        return self._asked[namespace][1]

    async def _list(self, namespace: str) -> _Found:
        found: dict[str, tuple[EventFact, ...]] = {}
        events = await self._cluster.list(kinds.EVENTS, namespace, field_selector=_SELECTOR)
        for event in events:
            uid = text(event, "involvedObject", "uid") or ""
            found[uid] = (*found.get(uid, ()), event_fact(event))
        return found


def _failed(task: "asyncio.Task[_Found]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
