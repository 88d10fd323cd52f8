"""Every cause that keeps a pool from serving as declared, each with its object and a way out. Pure.

The order is fixed, and one cause is told once, however many pods share it.
"""

from collections.abc import Iterable, Iterator

from paddock.api.base import Diagnosis
from paddock.api.localmodel import LocalModel
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import DeploymentFact, LoadedModel, PodFact, PoolFacts, Refusal
from paddock.plan.engines.profile import PooledModel
from paddock.plan.pool import PoolPlan, live_pods
from paddock.status.pod_diagnosis import diagnose_pod
from paddock.status.refusals import diagnose_refusal, diagnose_refused_pods
from paddock.status.wording import shortened

STUCK = "ProgressDeadlineExceeded"


def diagnose_pool(
    facts: PoolFacts, plan: PoolPlan, refusals: Iterable[Refusal], *, whole: bool
) -> tuple[Diagnosis, ...]:
    """Return the causes, most basic first; `whole` says that every replica is up to date."""
    found: list[Diagnosis] = [*_models(facts, plan), *map(diagnose_refusal, refusals)]
    if facts.deployment is not None and facts.deployment.replica_failure is not None:
        found.append(
            diagnose_refused_pods(
                f"Deployment/{facts.deployment.name}",
                facts.deployment.replica_failure,
                smaller="hardware or replicas",
            )
        )
    pods = _pods_of_the_newest(facts, plan)
    found += [
        cause
        for pod in pods
        for cause in diagnose_pod(pod, facts.events)
        if not _comes_free(facts, cause)
    ]
    if whole:
        found += [cause for pod in pods for cause in _answers(pod, facts, plan)]
    else:
        found = found or list(_given_up(facts))
    return _once(found)


def _pods_of_the_newest(facts: PoolFacts, plan: PoolPlan) -> list[PodFact]:
    """Return the pods whose trouble is the pool's: those of a revision that is left go anyway."""
    pods = sorted(live_pods(facts), key=lambda pod: pod.name)
    return [pod for pod in pods if plan.revision is None or pod.revision == plan.revision]


def _comes_free(facts: PoolFacts, cause: Diagnosis) -> bool:
    """Tell whether the GPU that is missing is that of a replica which still answers its last."""
    return cause.reason == Reason.INSUFFICIENT_GPU and any(pod.deleting for pod in facts.pods)


def _given_up(facts: PoolFacts) -> Iterator[Diagnosis]:
    """Tell of pods that nodes ended, or of a rollout that takes too long for no known cause."""
    ended = [pod for pod in facts.pods if pod not in live_pods(facts) and not pod.deleting]
    causes = [cause for pod in sorted(ended, key=lambda pod: pod.name)
              for cause in diagnose_pod(pod, ())]  # fmt: skip
    yield from causes
    if not causes and facts.deployment and facts.deployment.progressing_reason == STUCK:
        yield _stuck(facts.deployment)


def _once(causes: Iterable[Diagnosis]) -> tuple[Diagnosis, ...]:
    """Keep the first of those that say the same of different pods."""
    kept: dict[tuple[str, str, str], Diagnosis] = {}
    for cause in causes:
        kind, _, _ = cause.object.partition("/")
        key = cause.cause if kind == "Pod" else f"{cause.object} {cause.cause}"
        kept.setdefault((cause.reason, key, cause.fix), cause)
    return tuple(kept.values())


def _models(facts: PoolFacts, plan: PoolPlan) -> Iterator[Diagnosis]:
    for name in plan.missing:
        yield Diagnosis(
            object=f"LocalModel/{name}",
            reason=Reason.MODEL_NOT_FOUND,
            cause=f"There is no LocalModel {name} in this namespace.",
            fix="Create it, or correct spec.models.",
        )
    for name in plan.waiting:
        if (cause := stalled_cause(facts.models[name])) is not None:
            yield Diagnosis(
                object=f"LocalModel/{name}",
                reason=Reason.MODEL_STALLED,
                cause=f"The model cannot become Ready: {shortened(cause)}.",
                fix=f"Follow the status of the LocalModel {name}.",
            )


def stalled_cause(model: LocalModel) -> str | None:
    """Return why a model is stalled, by its own words for this generation, if it is."""
    for condition in model.status.conditions:
        current = condition.observed_generation == model.metadata.generation
        if condition.type == ConditionType.STALLED and condition.status == "True" and current:
            return condition.message
    return None


def _stuck(deployment: DeploymentFact) -> Diagnosis:
    return Diagnosis(
        object=f"Deployment/{deployment.name}",
        reason=Reason.ROLLOUT_FAILED,
        cause="The newest replicas did not become ready in the time that loading should take.",
        fix="Compare the pool with what served before; a slow disk may need smaller weights.",
    )


def _answers(pod: PodFact, facts: PoolFacts, plan: PoolPlan) -> Iterator[Diagnosis]:
    """Word what a ready engine answers wrongly, or that it does not answer."""
    report = facts.reports.get(pod.uid) if pod.ready else None
    if report is None:
        return
    if not report.answering:
        yield Diagnosis(
            object=f"Pod/{pod.name}",
            reason=Reason.ENGINE_NOT_READY,
            cause=report.error or "The engine does not answer its API.",
            fix="Check that engine.image is the engine that engine.name says.",
        )
    wanted = {model.served_as: model for model in plan.models}
    for loaded in report.models:
        if loaded.error is not None and loaded.served_as in wanted:
            yield _wrong(pod, loaded, wanted[loaded.served_as])


def _wrong(pod: PodFact, loaded: LoadedModel, model: PooledModel) -> Diagnosis:
    if is_other_model(loaded, model):
        reason = Reason.WRONG_MODEL
        fix = "Delete the pod, so that its engine opens the verified bytes; check engine.args."
    else:
        reason = Reason.NO_ANSWER
        fix = "Check that the engine's version knows this model, and give it enough memory."
    return Diagnosis(
        object=f"Pod/{pod.name}", reason=reason, cause=loaded.error or "No answer.", fix=fix
    )


def is_other_model(loaded: LoadedModel, model: PooledModel) -> bool:
    """Tell whether an engine has other bytes open than those that were verified."""
    return None not in (loaded.digest, model.digest) and loaded.digest != model.digest
