"""Everything a pass over an InferencePool decides on, gathered: reads only."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import httpx

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool, needed_models
from paddock.api.localmodel import LocalModel
from paddock.clock import Clock
from paddock.facts import Children, EngineReport, PodDemand, PodFact, PoolFacts
from paddock.kube.cache import Cache
from paddock.observe.delivery import Deliveries
from paddock.observe.demand import ask_gateways, observe_demand
from paddock.observe.engines import ExpectedModel, probe_engine
from paddock.observe.objects import deployment_fact, pod_fact
from paddock.observe.proofs import Ask, Proofs
from paddock.observe.warnings import Warnings
from paddock.plan.changes import is_leftover
from paddock.plan.deployment import COMPONENT
from paddock.plan.owner import owner_references
from paddock.plan.requests import asked
from paddock.plan.telemetry.collector_config import SCRAPED_ENGINES
from paddock.raw import text
from paddock.wire import Manifest

_LEAST_LOAD_SECONDS, _LOAD_BYTES_PER_SECOND = 60.0, 50_000_000
"""How long a first token may take: reading the weights from a slow disk, and a minute."""


@dataclass(frozen=True, slots=True)
class PoolMemory:
    """What this process keeps of one pool between passes."""

    proofs: Proofs = field(default_factory=Proofs)
    deliveries: Deliveries = field(default_factory=Deliveries)


async def observe_pool(
    pool: InferencePool,
    warnings: Warnings,
    cache: Cache,
    clock: Clock,
    client: httpx.AsyncClient,
    memory: PoolMemory,
) -> PoolFacts:
    """Return the facts about one InferencePool; `memory` keeps what was seen in passes before."""
    metadata = pool.metadata
    children = list(cache.children_of(metadata.uid))
    manifests = {(str(child["kind"]), text(child, "metadata", "name") or ""): child
                 for child in children}  # fmt: skip
    pods = _pods(children, COMPONENT)
    collectors = collectors_of(pool, children, cache)
    models = {model.metadata.name: model for model in _models(cache, pool)}
    deployment = manifests.get(("Deployment", names.pool_child_name(metadata.name)))
    strangers = _same_names(cache, pool)
    waiting = [pod.uid for pod in pods if not pod.ready and not pod.deleting]
    scales = pool.spec.scaling is not None
    demand = await observe_demand(client, pool.spec.engine.name, pods) if scales else {}
    return PoolFacts(
        pool=pool,
        now=clock.now(),
        children=Children({**strangers, **manifests}),
        models=models,
        deployment=deployment_fact(deployment) if deployment is not None else None,
        pods=pods,
        reports=await memory.proofs.of(
            pods,
            _expected(pool, models),
            _asker(pool, client),
            clock.monotonic(),
            request=asked(metadata, names.VERIFY_ANNOTATION),
        ),
        events=await warnings.about(metadata.namespace, waiting),
        moment=clock.monotonic(),
        demand=demand,
        passing=await _passing(pool, cache, client, demand),
        collectors=collectors,
        delivery=await memory.deliveries.of(client, collectors, clock.monotonic()),
        exportable=cache.has(kinds.EXPORTED_POOLS),
    )


def _pods(children: Iterable[Manifest], component: str) -> tuple[PodFact, ...]:
    return tuple(
        pod_fact(child)
        for child in children
        if child["kind"] == "Pod"
        and text(child, "metadata", "labels", names.COMPONENT_LABEL) == component
    )


def collectors_of(
    pool: InferencePool, children: Iterable[Manifest], cache: Cache
) -> tuple[PodFact, ...]:
    """Return the pods that bring the pool's metrics: its own, or else the gateway's."""
    if pool.spec.engine.name in SCRAPED_ENGINES:
        return _pods(children, names.COLLECTOR)
    component = names.GATEWAY_COLLECTOR_COMPONENT
    return tuple(map(pod_fact, cache.indexed(kinds.PODS, pool.metadata.namespace, component)))


async def _passing(
    pool: InferencePool,
    cache: Cache,
    client: httpx.AsyncClient,
    demand: Mapping[str, PodDemand],
) -> PodDemand | None:
    """Ask the gateway what passes, where an engine does not tell what it has in flight."""
    if all(each.in_flight is not None for each in demand.values()):
        return None
    gateways = map(
        pod_fact, cache.indexed(kinds.PODS, pool.metadata.namespace, names.GATEWAY_COMPONENT)
    )
    urls = [f"http://{pod.ip}:{names.GATEWAY_STATUS_PORT}" for pod in gateways
            if pod.ip and pod.phase == "Running"]  # fmt: skip
    return await ask_gateways(client, pool.metadata.name, urls)


def _models(cache: Cache, pool: InferencePool) -> list[LocalModel]:
    found = (
        cache.get(kinds.LOCAL_MODELS, pool.metadata.namespace, name)
        for name in needed_models(pool.spec)
    )
    return [LocalModel.model_validate(manifest) for manifest in found if manifest is not None]


def _same_names(cache: Cache, pool: InferencePool) -> Mapping[tuple[str, str], Manifest]:
    """Return objects that stand under our children's names, ours or not.

    Those of a deleted pool of this name are as good as gone.
    """
    references = owner_references(pool.metadata, kinds.INFERENCE_POOLS)
    child: Manifest = {"metadata": {"ownerReferences": references}}
    name = names.pool_child_name(pool.metadata.name)
    found = {
        (kind.kind, name): cache.get(kind, pool.metadata.namespace, name)
        for kind in (*kinds.POOL_CHILDREN, kinds.EXPORTED_POOLS)
        if cache.has(kind)
    }
    return {
        key: live
        for key, live in found.items()
        if live is not None and not is_leftover(child, live)
    }


def _asker(pool: InferencePool, client: httpx.AsyncClient) -> Ask:
    """Return how one pod of this pool is asked for its proof."""

    async def ask(pod: PodFact, expected: Sequence[ExpectedModel]) -> EngineReport:
        address = f"http://{pod.ip}:{names.ENGINE_PORT}"
        return await probe_engine(client, pool.spec.engine.name, address, pod.name, expected)

    return ask


def _expected(pool: InferencePool, models: Mapping[str, LocalModel]) -> tuple[ExpectedModel, ...]:
    expected = []
    for each in pool.spec.models:
        model = models.get(each.name)
        artifact = model.status.artifact if model else None
        whole = artifact is not None and len(artifact.files) == 1
        expected.append(
            ExpectedModel(
                served_as=each.served_as,
                digest=artifact.files[0].digest if artifact and whole else None,
                generate=each.preload is not False,
                load_seconds=_LEAST_LOAD_SECONDS
                + (artifact.bytes if artifact else 0) / _LOAD_BYTES_PER_SECOND,
            )
        )
    return tuple(expected)
