"""Everything a pass over an InferencePool decides on, gathered: reads only."""

import asyncio
from collections.abc import Mapping, Sequence

import httpx

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.clock import Clock
from paddock.facts import Children, EngineReport, PodFact, PoolFacts
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.observe.engines import ExpectedModel, probe_engine
from paddock.observe.model import observe_events
from paddock.observe.objects import deployment_fact, pod_fact
from paddock.observe.raw import text
from paddock.wire import Manifest

Reports = dict[str, tuple[tuple[ExpectedModel, ...], EngineReport]]
"""By pod uid: what was expected, and what the pod answered to that."""


async def observe_pool(
    pool: InferencePool,
    cluster: Cluster,
    cache: Cache,
    clock: Clock,
    client: httpx.AsyncClient,
    known: Reports,
) -> PoolFacts:
    """Return the facts about one InferencePool; `known` keeps what engines already proved."""
    metadata = pool.metadata
    children = list(cache.children_of(metadata.uid))
    manifests = {(str(child["kind"]), text(child, "metadata", "name") or ""): child
                 for child in children}  # fmt: skip
    pods = tuple(pod_fact(child) for child in children if child["kind"] == "Pod")
    models = {model.metadata.name: model for model in _models(cache, pool)}
    deployment = next((child for child in children if child["kind"] == "Deployment"), None)
    strangers = _same_names(cache, pool)
    waiting = [pod for pod in pods if not pod.ready and not pod.deleting]
    return PoolFacts(
        pool=pool,
        now=clock.now(),
        children=Children({**strangers, **manifests}),
        models=models,
        deployment=deployment_fact(deployment) if deployment is not None else None,
        pods=pods,
        reports=await _reports(pool, pods, models, client, known),
        events=await observe_events(cluster, metadata.namespace, waiting),
    )


def _models(cache: Cache, pool: InferencePool) -> list[LocalModel]:
    found = (
        cache.get(kinds.LOCAL_MODELS, pool.metadata.namespace, each.name)
        for each in pool.spec.models
    )
    return [LocalModel.model_validate(manifest) for manifest in found if manifest is not None]


def _same_names(cache: Cache, pool: InferencePool) -> Mapping[tuple[str, str], Manifest]:
    """Return objects that stand under our children's names, ours or not."""
    name = names.pool_child_name(pool.metadata.name)
    found = {
        (kind.kind, name): cache.get(kind, pool.metadata.namespace, name)
        for kind in kinds.POOL_CHILDREN
    }
    return {key: manifest for key, manifest in found.items() if manifest is not None}


async def _reports(
    pool: InferencePool,
    pods: Sequence[PodFact],
    models: Mapping[str, LocalModel],
    client: httpx.AsyncClient,
    known: Reports,
) -> Mapping[str, EngineReport]:
    """Ask each ready pod that has not proven these models yet."""
    expected = _expected(pool, models)
    asked = [pod for pod in pods if pod.ready and pod.ip and not _is_proven(known, pod, expected)]
    answers = await asyncio.gather(
        *(
            probe_engine(
                client,
                pool.spec.engine.name,
                f"http://{pod.ip}:{names.ENGINE_PORT}",
                pod.name,
                expected,
            )
            for pod in asked
        )
    )
    known.update((pod.uid, (expected, report)) for pod, report in zip(asked, answers, strict=True))
    alive = {pod.uid for pod in pods}
    for uid in [uid for uid in known if uid not in alive]:
        del known[uid]
    return {uid: report for uid, (_, report) in known.items()}


def _expected(pool: InferencePool, models: Mapping[str, LocalModel]) -> tuple[ExpectedModel, ...]:
    expected = []
    for each in pool.spec.models:
        model = models.get(each.name)
        artifact = model.status.artifact if model else None
        whole = artifact is not None and len(artifact.files) == 1
        expected.append(
            ExpectedModel(
                served_as=each.as_ or each.name,
                digest=artifact.files[0].digest if artifact and whole else None,
                generate=each.preload is not False,
            )
        )
    return tuple(expected)


def _is_proven(known: Reports, pod: PodFact, expected: tuple[ExpectedModel, ...]) -> bool:
    before = known.get(pod.uid)
    if before is None or before[0] != expected or not before[1].answering:
        return False
    return all(model.generated is not None for model in before[1].models)
