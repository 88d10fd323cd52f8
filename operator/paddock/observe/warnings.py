"""Warnings that the cluster recorded about objects of ours that do not come up. Reads only.

Events are not watched: a cluster has far more of them than objects. They are listed once for all
who wait in a namespace, and not again for a few seconds. Who waits long is not asked to come again:
a look of its own wakes those about whom there is something new.
"""

import asyncio
from collections.abc import Iterable, Mapping

from paddock import kinds, names
from paddock.clock import Clock
from paddock.facts import Done, EventFact, Key, Outcome, Wait
from paddock.kube.cluster import Cluster
from paddock.observe.objects import event_fact
from paddock.raw import text

_FRESH_SECONDS = 4.0
_LEAST_SECONDS = 1.0
_SELECTOR = "type=Warning,reason!=FailedScheduling"
"""What the scheduler says is in the status of the pod too, which is watched; most are of these."""

_Facts = tuple[EventFact, ...]
_Found = Mapping[str, _Facts]
"""By the uid of the object they are about."""


class Warnings:
    """What was recorded of late, by namespace."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock
        self._asked: dict[str, tuple[float, asyncio.Task[_Found]]] = {}
        self._found: dict[str, _Found] = {}
        """What a look found last, where somebody waits."""
        self._waiting: dict[str, dict[Key, frozenset[str]]] = {}
        """By namespace, whose pass is to come when something new is said about which objects."""

    async def about(self, namespace: str, uids: Iterable[str]) -> _Facts:
        """Return the warnings about these objects; nobody is asked where there are none."""
        wanted = frozenset(uids)
        if not wanted:
            return ()
        return _chosen(await asyncio.shield(self._recent(namespace)), wanted)

    def known(self, key: Key, uids: Iterable[str]) -> _Facts:
        """Return what a look has found about the objects that a pass waits for, without asking.

        The pass comes again when a later look finds something else.
        """
        wanted = frozenset(uids)
        waiting = self._waiting.setdefault(key.namespace, {})
        if wanted:
            waiting[key] = wanted
        else:
            waiting.pop(key, None)
        if not waiting:
            del self._waiting[key.namespace]
            self._found.pop(key.namespace, None)
        return _chosen(self._found.get(key.namespace, {}), wanted)

    def looked_for(self, key: Key) -> tuple[Key, ...]:
        """Return the key of the look that a pass needs; none where it waits for nothing."""
        if key not in self._waiting.get(key.namespace, {}):
            return ()
        return (Key(names.WARNINGS, key.namespace, ""),)

    async def look(self, namespace: str) -> Outcome:
        """Look for all who wait in a namespace, and wake those for whom there is news."""
        if namespace not in self._waiting:
            return Done()
        found = await asyncio.shield(self._recent(namespace))
        before = self._found.get(namespace, {})
        waiting = self._waiting.get(namespace, {})
        if not waiting:
            return Done()
        self._found[namespace] = found
        news = (key for key, uids in waiting.items()
                if _chosen(before, uids) != _chosen(found, uids))  # fmt: skip
        return Wait(self._until_old(namespace), wake=tuple(news))

    def _until_old(self, namespace: str) -> float:
        """Return the seconds until asking again is worth it."""
        now = self._clock.monotonic()
        moment = self._asked[namespace][0] if namespace in self._asked else now
        return max(_LEAST_SECONDS, moment + _FRESH_SECONDS - now)

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
        found: dict[str, _Facts] = {}
        events = await self._cluster.list(kinds.EVENTS, namespace, field_selector=_SELECTOR)
        for event in events:
            uid = text(event, "involvedObject", "uid") or ""
            found[uid] = (*found.get(uid, ()), event_fact(event))
        return found


def _chosen(found: _Found, uids: Iterable[str]) -> _Facts:
    facts = {fact for uid in uids for fact in found.get(uid, ())}
    return tuple(sorted(facts, key=lambda fact: (fact.object, fact.reason, fact.message)))


def _failed(task: "asyncio.Task[_Found]") -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
