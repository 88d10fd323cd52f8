"""Everything a pass over a LocalModel decides on, gathered: reads only."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import httpx
from pydantic import ValidationError

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel, Progress
from paddock.api.pull import PullNews
from paddock.clock import Clock
from paddock.facts import Children, JobFact, Key, ModelFacts, PodFact
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.observe.objects import claim_fact, job_fact, pod_fact
from paddock.observe.warnings import Warnings
from paddock.plan.model import claim_of
from paddock.raw import at, items, text
from paddock.wire import Manifest

_PROGRESS_SECONDS = 1.0


async def observe_model(
    model: LocalModel,
    cluster: Cluster,
    cache: Cache,
    *,
    warnings: Warnings,
    clock: Clock,
    client: httpx.AsyncClient,
) -> ModelFacts:
    """Return the facts about one LocalModel."""
    metadata = model.metadata
    children = list(cache.children_of(metadata.uid))
    raw_pods = [child for child in children if child["kind"] == "Pod"]
    pods = tuple(pod_fact(pod) for pod in raw_pods)
    claim = cache.get(kinds.CLAIMS, metadata.namespace, claim_of(model))
    if claim is None and metadata.deletion_timestamp is not None:
        # a claim of the user's has none of our labels, so no watch shows it; what it holds is freed
        claim = await cluster.get(kinds.CLAIMS, metadata.namespace, claim_of(model))
    manifests = {_identity(child): child for child in children}
    if claim is not None:
        manifests[_identity(claim)] = claim
    jobs = tuple(_job(child, raw_pods) for child in children if child["kind"] == "Job")
    news = await _news(client, pods)
    return ModelFacts(
        model=model,
        now=clock.now(),
        children=Children(manifests),
        claim=claim_fact(claim) if claim is not None else None,
        jobs=jobs,
        pods=tuple(pod for pod in pods if pod.phase in ("Pending", "Running", "Failed")),
        progress=Progress(**news.model_dump(exclude={"trouble"})) if news else None,
        trouble=news.trouble if news else None,
        events=warnings.known(key_of(model), _waiting(jobs, pods)),
        pools=tuple(_pools(cache, model)),
        siblings=tuple(_siblings(cache, model)),
    )


def key_of(model: LocalModel) -> Key:
    """Return the key of a model's passes."""
    return Key(kinds.LOCAL_MODELS.plural, model.metadata.namespace, model.metadata.name)


def _identity(manifest: Manifest) -> tuple[str, str]:
    return str(manifest["kind"]), text(manifest, "metadata", "name") or ""


def _job(job: Manifest, pods: Iterable[Manifest]) -> JobFact:
    """Join a Job with the last words of its newest ended pod."""
    fact = job_fact(job)
    ended = sorted(
        (
            (text(status, "state", "terminated", "finishedAt") or "", message)
            for pod in pods
            if text(pod, "metadata", "labels", "batch.kubernetes.io/controller-uid") == fact.uid
            for status in items(pod, "status", "containerStatuses")
            if (message := text(status, "state", "terminated", "message"))
        ),
    )
    return replace(fact, result=ended[-1][1] if ended else None)


def _waiting(jobs: Iterable[JobFact], pods: Sequence[PodFact]) -> Iterable[str]:
    """Yield the uids of pods that do not start, and of Jobs that get no pod."""
    yield from (pod.uid for pod in pods if not pod.ready and pod.phase == "Pending")
    served = {pod.owner_uid for pod in pods}
    for job in jobs:
        if not (job.complete or job.failed or job.deleting) and job.uid not in served:
            yield job.uid


async def _news(client: httpx.AsyncClient, pods: Iterable[PodFact]) -> PullNews | None:
    """Ask the pulling pod how it stands; no answer is no progress."""
    running = next((pod for pod in pods if pod.phase == "Running" and pod.ip), None)
    if running is None:
        return None
    try:
        answer = await client.get(
            f"http://{running.ip}:{names.PROGRESS_PORT}/progress", timeout=_PROGRESS_SECONDS
        )
        return PullNews.model_validate_json(answer.content)
    except (httpx.HTTPError, ValidationError):
        return None


def _pools(cache: Cache, model: LocalModel) -> Iterable[InferencePool]:
    metadata = model.metadata
    for manifest in cache.indexed(kinds.INFERENCE_POOLS, metadata.namespace, metadata.name):
        if at(manifest, "metadata", "deletionTimestamp") is None:
            yield InferencePool.model_validate(manifest)


def _siblings(cache: Cache, model: LocalModel) -> Iterable[LocalModel]:
    metadata = model.metadata
    for manifest in cache.indexed(kinds.LOCAL_MODELS, metadata.namespace, claim_of(model)):
        if text(manifest, "metadata", "uid") != metadata.uid:
            yield LocalModel.model_validate(manifest)
