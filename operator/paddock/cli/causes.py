"""Why a pool or a model is not ready: the chain from the pool down to what to change. Pure.

Every diagnosis of the status hangs at the object it names; what is well has nothing under it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from paddock import names
from paddock.api.base import Diagnosis
from paddock.api.inferencepool import InferencePool, needed_models
from paddock.api.localmodel import LocalModel
from paddock.api.reasons import ConditionType
from paddock.cli.paint import Branch, Line, Tone, Word
from paddock.cli.sizes import size_words
from paddock.cli.tables import condition_of
from paddock.facts import DeploymentFact, JobFact, PodFact
from paddock.plan.pull_job import PULL
from paddock.wire import Json

GOOD, WAITING, BAD = Word("✓ ", Tone.GOOD), Word("… ", Tone.WAITING), Word("✗ ", Tone.BAD)
_UNSEEN = "the operator has not looked at it yet; `kubectl get deployments -A` tells if it runs"


@dataclass(frozen=True, slots=True)
class Scene:
    """What a namespace holds around one pool or model."""

    models: Mapping[str, LocalModel] = field(default_factory=dict)
    deployments: Mapping[str, DeploymentFact] = field(default_factory=dict)
    jobs: Mapping[str, Sequence[JobFact]] = field(default_factory=dict)
    """By the model's label."""
    pull_pods: Mapping[str, Sequence[PodFact]] = field(default_factory=dict)
    """By the uid of their Job."""
    engine_pods: Mapping[str, Sequence[PodFact]] = field(default_factory=dict)
    """By the pool's label."""


def is_ready(owner: LocalModel | InferencePool) -> bool:
    """Tell whether the newest spec is fulfilled."""
    ready = condition_of(owner)
    return ready is not None and ready.status == "True"


def is_stalled(owner: LocalModel | InferencePool) -> bool:
    """Tell whether somebody has to change something before it can become ready."""
    return condition_of(owner, ConditionType.STALLED) is not None


def explain_pool(pool: InferencePool, scene: Scene) -> Branch:
    """Return the tree of one pool."""
    if is_ready(pool):
        return Branch(_title("InferencePool", pool))
    open_causes, needed = list(pool.status.diagnosis), needed_models(pool.spec)
    models = [
        explain_model(scene.models[name], scene)
        if name in scene.models
        else _absent(name, _take(open_causes, f"LocalModel/{name}"))
        for name in needed
    ]
    for name in needed:  # told by the model's own branch
        _take(open_causes, f"LocalModel/{name}")
    deployment = _deployment(pool, scene, open_causes)
    loose = [_cause(cause) for cause in open_causes]
    told = bool(pool.status.diagnosis)
    return Branch(_title("InferencePool", pool, told=told), (*models, *deployment, *loose))


def explain_model(model: LocalModel, scene: Scene) -> Branch:
    """Return the tree of one model."""
    if is_ready(model):
        return Branch(_title("LocalModel", model))
    label = names.fitted_name(model.metadata.name)
    open_causes = list(model.status.diagnosis)
    pulls = [job for job in scene.jobs.get(label, ()) if job.purpose == PULL]
    jobs = [_job(job, model, scene, open_causes) for job in pulls]
    title = _title("LocalModel", model, told=bool(model.status.diagnosis))
    return Branch(title, (*jobs, *(_cause(cause) for cause in open_causes)))


def explanation_value(owner: LocalModel | InferencePool, scene: Scene) -> dict[str, Json]:
    """Return what the tree tells, for programs: the verdict, the causes, those of the models."""
    ready = condition_of(owner)
    kind = names.INFERENCE_POOL if isinstance(owner, InferencePool) else names.LOCAL_MODEL
    value: dict[str, Json] = {
        "object": f"{kind}/{owner.metadata.name}",
        "ready": is_ready(owner),
        "stalled": is_stalled(owner),
        "reason": ready.reason if ready else None,
        "message": ready.message if ready else None,
        "diagnosis": [each.model_dump(mode="json") for each in owner.status.diagnosis],
    }
    if isinstance(owner, InferencePool):
        known = [scene.models[name] for name in needed_models(owner.spec) if name in scene.models]
        value["models"] = [explanation_value(model, scene) for model in known]
    return value


def _title(kind: str, owner: LocalModel | InferencePool, *, told: bool = False) -> Line:
    """Return an object's line; where its causes are told below it, their words are not repeated."""
    ready, name = condition_of(owner), f"{kind}/{owner.metadata.name}"
    if ready is None:
        return (WAITING, Word(name, Tone.STRONG), Word(f"  {_UNSEEN}"))
    mark = GOOD if is_ready(owner) else BAD if is_stalled(owner) else WAITING
    words = ready.message if is_ready(owner) else f"{ready.reason}: {ready.message}"
    return (mark, Word(name, Tone.STRONG), Word(f"  {ready.reason if told else words}"))


def _absent(name: str, causes: Sequence[Diagnosis]) -> Branch:
    title = f"LocalModel/{name}"
    line: Line = (BAD, Word(title, Tone.STRONG), Word("  does not exist"))
    return Branch(line, tuple(_cause(cause, at=title) for cause in causes))


def _deployment(pool: InferencePool, scene: Scene, open_causes: list[Diagnosis]) -> list[Branch]:
    name = names.pool_child_name(pool.metadata.name)
    fact = scene.deployments.get(name)
    if fact is None:
        return []
    pods = scene.engine_pods.get(names.fitted_name(pool.metadata.name), ())
    title = f"Deployment/{name}"
    own = [_cause(cause, at=title) for cause in _take(open_causes, title)]
    below = [_pod(pod, open_causes) for pod in pods]
    wanted = pool.status.effective.replicas if pool.status.effective else fact.replicas
    is_whole = fact.ready == wanted == fact.updated == fact.replicas
    line: Line = (
        GOOD if is_whole else BAD if own else WAITING,
        Word(title, Tone.STRONG),
        Word(f"  {fact.ready} of {wanted} replicas ready"),
    )
    return [Branch(line, (*own, *below))]


def _job(job: JobFact, model: LocalModel, scene: Scene, open_causes: list[Diagnosis]) -> Branch:
    mark, words = _job_state(job, model)
    own = _take(open_causes, f"Job/{job.name}")
    if job.failed:
        own += _take(open_causes, f"LocalModel/{model.metadata.name}")
    pods = [_pod(pod, open_causes) for pod in scene.pull_pods.get(job.uid, ())]
    causes = [_cause(cause) for cause in own]
    below = causes if job.failed else [*causes, *pods]
    return Branch((mark, Word(f"Job/{job.name}", Tone.STRONG), Word(f"  {words}")), tuple(below))


def _job_state(job: JobFact, model: LocalModel) -> tuple[Word, str]:
    if job.complete:
        return GOOD, "has pulled the model"
    if job.failed:
        return BAD, "has failed"
    progress = model.status.progress
    if progress is None:
        return WAITING, "is starting"
    percent = "" if progress.percent is None else f"{progress.percent} %, "
    return WAITING, f"is pulling: {percent}{size_words(progress.bytes)}"


def _pod(pod: PodFact, open_causes: list[Diagnosis]) -> Branch:
    name = f"Pod/{pod.name}"
    causes = tuple(_cause(cause, at=name) for cause in _take(open_causes, name))
    mark = GOOD if pod.ready else BAD if causes else WAITING
    state = "is ready" if pod.ready else "is ending" if pod.deleting else f"is {pod.phase.lower()}"
    where = f" on {pod.node}" if pod.node else ""
    line: Line = (mark, Word(name, Tone.STRONG), Word(f"  {state}{where}"))
    return Branch(line, causes)


def _cause(cause: Diagnosis, *, at: str = "") -> Branch:
    """Return a cause and its way out; the object is named unless it hangs at that very object."""
    words = cause.cause if cause.object == at else f"{cause.object}: {cause.cause}"
    line: Line = (Word(cause.reason, Tone.BAD), Word(f"  {words}"))
    fix: Line = (Word("fix  ", Tone.GOOD), Word(cause.fix))
    return Branch(line, (Branch(fix),))


def _take(causes: list[Diagnosis], name: str) -> list[Diagnosis]:
    """Move the causes of one object out of the list: each is told once."""
    taken = [cause for cause in causes if cause.object == name]
    causes[:] = [cause for cause in causes if cause.object != name]
    return taken


def grouped_jobs(pairs: Iterable[tuple[str, JobFact]]) -> dict[str, list[JobFact]]:
    """Group Jobs by their model's label, oldest name first."""
    groups: dict[str, list[JobFact]] = {}
    for label, job in sorted(pairs, key=lambda pair: pair[1].name):
        groups.setdefault(label, []).append(job)
    return groups


def grouped_pods(pairs: Iterable[tuple[str, PodFact]]) -> dict[str, list[PodFact]]:
    """Group pods by a label or an owner, by name."""
    groups: dict[str, list[PodFact]] = {}
    for label, pod in sorted(pairs, key=lambda pair: pair[1].name):
        groups.setdefault(label, []).append(pod)
    return groups
