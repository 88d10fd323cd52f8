"""What the operator asks of ready engines now and then: the models they have loaded.

A round replaces the one before it, so a pod that is gone has no series. An engine that does not
answer has none either.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import httpx

from paddock import kinds, names
from paddock.api.inferencepool import EngineName
from paddock.kube.cache import Cache
from paddock.observe.loaded import Loaded, observe_loaded
from paddock.raw import at, items, named, text
from paddock.telemetry import catalog
from paddock.telemetry.registry import Labels, Registry
from paddock.wire import Manifest

log = logging.getLogger("paddock.telemetry")
_AT_ONCE = 8
_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Target:
    """One ready engine, and the names under which its pool serves models."""

    namespace: str
    pool: str
    engine: EngineName
    pod: str
    address: str
    models: tuple[str, ...]


class EngineMeasures:
    """The loaded models of every ready engine, as of the last round."""

    def __init__(self, registry: Registry, cache: Cache) -> None:
        self._cache = cache
        self._found: Mapping[Labels, Loaded | None] = {}
        registry.read(catalog.ENGINE_LOADED, self._loaded)
        registry.read(catalog.ENGINE_MEMORY, self._memory)
        registry.read(catalog.ENGINE_GPU_MEMORY, self._gpu_memory)

    async def run(self, seconds: float) -> None:
        """Ask every so many seconds until cancelled; then nothing is known any more."""
        try:
            async with httpx.AsyncClient(timeout=_SECONDS, trust_env=False) as client:
                while True:
                    try:
                        await self.ask(client)
                    except Exception:
                        log.exception("engines not asked for their models")
                    await asyncio.sleep(seconds)
        finally:
            self._found = {}

    async def ask(self, client: httpx.AsyncClient) -> None:
        """Ask every ready engine once."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def asked(target: Target) -> dict[Labels, Loaded | None]:
            async with places:
                answer = await observe_loaded(client, target.engine, target.address)
            return series_of(target, answer)

        answers = await asyncio.gather(*(asked(target) for target in targets_of(self._cache)))
        self._found = {labels: loaded for each in answers for labels, loaded in each.items()}

    def _loaded(self) -> dict[Labels, float]:
        return {labels: float(each is not None) for labels, each in self._found.items()}

    def _memory(self) -> dict[Labels, float]:
        known = ((labels, each.memory) for labels, each in self._found.items() if each)
        return {labels: memory for labels, memory in known if memory is not None}

    def _gpu_memory(self) -> dict[Labels, float]:
        known = ((labels, each.gpu_memory) for labels, each in self._found.items() if each)
        return {labels: memory for labels, memory in known if memory is not None}


def series_of(target: Target, answer: Mapping[str, Loaded] | None) -> dict[Labels, Loaded | None]:
    """Return one entry for each model of the pool; what else an engine names has no series."""
    if answer is None:
        return {}
    return {
        (target.namespace, target.pool, model, target.engine.value, target.pod): answer.get(model)
        for model in target.models
    }


def targets_of(cache: Cache) -> Iterator[Target]:
    """Yield every ready engine that is known."""
    for pool in cache.list(kinds.INFERENCE_POOLS):
        engine = text(pool, "spec", "engine", "name")
        models = tuple(
            text(each, "as") or text(each, "name") or "" for each in items(pool, "spec", "models")
        )
        for pod in cache.children_of(text(pool, "metadata", "uid") or ""):
            address = text(pod, "status", "podIP")
            if engine in catalog.ENGINES and address and _is_ready_engine(pod):
                host = f"[{address}]" if ":" in address else address
                yield Target(
                    namespace=text(pool, "metadata", "namespace") or "",
                    pool=text(pool, "metadata", "name") or "",
                    engine=EngineName(engine),
                    pod=text(pod, "metadata", "name") or "",
                    address=f"http://{host}:{names.ENGINE_PORT}",
                    models=models,
                )


def _is_ready_engine(child: Manifest) -> bool:
    ready = named(child, "type", "Ready", "status", "conditions")
    return (
        child["kind"] == kinds.PODS.kind
        and text(child, "metadata", "labels", names.COMPONENT_LABEL) == "engine"
        and at(child, "metadata", "deletionTimestamp") is None
        and text(ready, "status") == "True"
    )
