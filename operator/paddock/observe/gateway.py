"""A namespace's gateway as it is: its objects, and what each Envoy says it runs. Reads only."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import httpx

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.callers import Callers
from paddock.clock import Clock
from paddock.errors import EngineError
from paddock.facts import Children, EnvoyReport, GatewayFacts, PodFact
from paddock.kube.cache import Cache
from paddock.observe.asker import Asker
from paddock.observe.objects import pod_fact
from paddock.observe.warnings import Warnings
from paddock.plan.gateway.bootstrap import STATE_PATH
from paddock.plan.gateway.key_ring import key_ring
from paddock.raw import items, number, text
from paddock.wire import Json, Manifest

_SECONDS = 3.0
_CLUSTER, _HEALTHY = "cluster.", ".membership_healthy"
_WARMING = "cluster_manager.warming_clusters"


async def observe_gateway(
    namespace: str, warnings: Warnings, cache: Cache, clock: Clock
) -> GatewayFacts:
    """Return the facts about one namespace's gateway, less what its Envoys say."""
    pods = list(cache.indexed(kinds.PODS, namespace, names.GATEWAY_COMPONENT))
    facts = tuple(map(pod_fact, pods))
    waiting = [pod.uid for pod in facts if not pod.ready and not pod.deleting]
    return GatewayFacts(
        namespace=namespace,
        now=clock.now(),
        pools=tuple(
            InferencePool.model_validate(each)
            for each in cache.list(kinds.INFERENCE_POOLS, namespace)
        ),
        models={
            text(each, "metadata", "name") or "": LocalModel.model_validate(each)
            for each in cache.list(kinds.LOCAL_MODELS, namespace)
        },
        callers=Callers(key_ring(cache.get(kinds.CONFIG_MAPS, namespace, names.KEYS))),
        children=Children(_children(namespace, cache)),
        http_routes=cache.has(kinds.HTTP_ROUTES),
        pods=facts,
        nudges={fact.uid: _nudge(pod) for fact, pod in zip(facts, pods, strict=True)},
        events=await warnings.about(namespace, waiting),
    )


def _children(namespace: str, cache: Cache) -> Mapping[tuple[str, str], Manifest]:
    found = {
        (kind.kind, name): cache.get(kind, namespace, name)
        for kind in (*kinds.GATEWAY_CHILDREN, kinds.HTTP_ROUTES)
        if cache.has(kind)
        for name in (names.GATEWAY, names.GATEWAY_COLLECTOR)
    }
    return {key: manifest for key, manifest in found.items() if manifest is not None}


def _nudge(pod: Manifest) -> str:
    return text(pod, "metadata", "annotations", names.NUDGE_ANNOTATION) or ""


async def with_reports(
    facts: GatewayFacts,
    client: httpx.AsyncClient,
    known: Mapping[str, EnvoyReport],
    wanted: EnvoyReport,
    *,
    lost: frozenset[str] = frozenset(),
) -> GatewayFacts:
    """Return the facts with what the Envoys say; those known to be as wanted aren't asked.

    Clusters that `lost` their pods have to be found anew, though an Envoy may not have noticed yet.
    """
    found: dict[str, EnvoyReport] = {}
    for pod in _asked(facts.pods):
        before = known.get(pod.uid, EnvoyReport())
        known_good = before.versions == wanted.versions and wanted.reached <= before.reached
        report = before if known_good else await _report(client, pod)
        if report is not None:
            found[pod.uid] = replace(report, reached=report.reached - lost)
    return replace(facts, reports=found)


def _asked(pods: Iterable[PodFact]) -> Iterable[PodFact]:
    return (pod for pod in pods if pod.ready and pod.ip and not pod.deleting)


async def _report(client: httpx.AsyncClient, pod: PodFact) -> EnvoyReport | None:
    """Ask one Envoy for its state; None where it does not answer."""
    asker = Asker(client, f"http://{pod.ip}:{names.GATEWAY_STATUS_PORT}")
    try:
        answer = await asker.get(STATE_PATH, seconds=_SECONDS)
    except EngineError:
        return None
    return read_state(answer)


def read_state(answer: Json) -> EnvoyReport:
    """Read an Envoy's statistics: texts are versions, numbers count the pods of clusters.

    While new clusters are not ready for requests, the files that brought them are not in force.
    """
    stats = [(text(each, "name") or "", each) for each in items(answer, "stats")]
    counts = {name: number(each, "value") for name, each in stats}
    texts = {said for _, each in stats if (said := text(each, "value"))}
    pools = {name for name, count in counts.items() if name.endswith(_HEALTHY) and count}
    return EnvoyReport(
        versions=frozenset(texts) if not counts.get(_WARMING) else frozenset(),
        reached=frozenset(name.removeprefix(_CLUSTER).removesuffix(_HEALTHY) for name in pools),
    )
