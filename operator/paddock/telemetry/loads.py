"""How long engines took to load models: as passes see pods become ready, and proofs answered.

Remembers what it has told of the pods that are there; a load that went on while no operator looked
is not told.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from paddock.api.inferencepool import EngineName
from paddock.clock import parse_rfc3339
from paddock.facts import Key, PodFact, PoolFacts
from paddock.plan.engines.registry import PROFILES
from paddock.telemetry import catalog
from paddock.telemetry.registry import Registry


@dataclass(slots=True)
class _Pod:
    """What is known of one pod."""

    waited_for: bool = False
    """Whether it was seen before it was ready."""
    told: str | None = None
    """When the engine started whose load is told, or was over before anybody looked."""
    proofs: Mapping[str, float] = field(default_factory=dict)
    """The load of each model that was told last."""


class LoadMeasures:
    """The loads of all pools' engines."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._pools: dict[Key, dict[str, _Pod]] = {}

    def forget(self, key: Key) -> None:
        """Let go of a pool that is gone."""
        self._pools.pop(key, None)

    def note(self, key: Key, facts: PoolFacts) -> None:
        """Record the loads that one pass sees for the first time."""
        before = self._pools.get(key, {})
        known = {pod.uid: before.get(pod.uid) or _first_look(pod) for pod in facts.pods}
        self._pools[key] = known
        served = [each.served_as for each in facts.pool.spec.models]
        engine = facts.pool.spec.engine.name
        loads = PROFILES[engine].loads_at_start
        for pod in facts.pods:
            memory = known[pod.uid]
            seconds = _at_start(memory, pod, facts)
            if seconds is not None and loads and len(served) == 1:
                self._record(key, engine, served[0], seconds)
            for model, took in _by_proof(memory, pod, facts):
                self._record(key, engine, model, took)

    def _record(self, key: Key, engine: EngineName, model: str, seconds: float) -> None:
        labels = (key.namespace, key.name, model, engine.value)
        self._registry.record(catalog.ENGINE_LOAD, seconds, *labels)


def _first_look(pod: PodFact) -> _Pod:
    """Return what is known of a pod at first; an engine that is up is not loading any more."""
    is_up = pod.ready or any(each.started for each in pod.containers)
    return _Pod(told=_running_since(pod) if is_up else None)


def _running_since(pod: PodFact) -> str | None:
    return next((each.running_since for each in pod.containers if each.running_since), None)


def _at_start(memory: _Pod, pod: PodFact, facts: PoolFacts) -> float | None:
    """Return what an engine took until it was ready, once, if it was seen before that."""
    since = _running_since(pod)
    if not pod.ready or since is None:
        memory.waited_for = True
        return None
    waited, memory.waited_for = memory.waited_for and since != memory.told, False
    memory.told = since
    return max(0.0, (facts.now - parse_rfc3339(since)).total_seconds()) if waited else None


def _by_proof(memory: _Pod, pod: PodFact, facts: PoolFacts) -> Iterator[tuple[str, float]]:
    """Yield the loads that a proof caused and that were not told yet."""
    report = facts.reports.get(pod.uid)
    found = {each.served_as: each.load_seconds for each in report.models} if report else {}
    loads = {model: seconds for model, seconds in found.items() if seconds is not None}
    yield from (each for each in loads.items() if memory.proofs.get(each[0]) != each[1])
    memory.proofs = {**memory.proofs, **loads}
