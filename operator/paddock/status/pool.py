"""The status of an InferencePool: conditions, endpoint, models as served, diagnosis. Pure."""

from collections.abc import Sequence

from paddock import names
from paddock.api.base import Diagnosis
from paddock.api.inferencepool import Endpoint, EngineName, InferencePoolStatus, ServedModel
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import PodFact, PoolFacts, Refusal
from paddock.plan.deployment import selector
from paddock.plan.engines.profile import PooledModel
from paddock.plan.pool import PoolPlan
from paddock.status.conditions import Verdict, false, merge, true, unknown
from paddock.status.pod_diagnosis import diagnose_pod
from paddock.status.summary import summarise

LOADED, ON_DEMAND, ABSENT = "Loaded", "OnDemand", "Absent"


def status_of_pool(
    facts: PoolFacts, plan: PoolPlan, refusals: tuple[Refusal, ...]
) -> InferencePoolStatus:
    """Return the whole status of one InferencePool."""
    pool = facts.pool
    diagnosis = _diagnosis(facts, (*plan.conflicts, *refusals))
    verdicts = (
        _accepted(plan),
        _models_ready(plan),
        _fits(plan),
        _scheduled(facts, plan, diagnosis),
        _engines_ready(facts, plan, diagnosis),
        _model_verified(facts, plan),
    )
    required = [verdict for verdict in verdicts if verdict.type != ConditionType.FITS]
    if verdicts[2].status == "False":
        required.insert(2, verdicts[2])
    summary = summarise(required, "Every replica serves its models and has proven it.")
    return InferencePoolStatus(
        observed_generation=pool.metadata.generation,
        conditions=merge(
            pool.status.conditions,
            (*summary, *verdicts),
            generation=pool.metadata.generation,
            now=facts.now,
        ),
        replicas=facts.deployment.replicas if facts.deployment else 0,
        ready_replicas=facts.deployment.ready if facts.deployment else 0,
        selector=",".join(f"{key}={value}" for key, value in sorted(selector(pool).items())),
        endpoint=_endpoint(facts) if facts.deployment else None,
        models=tuple(_served(facts, model) for model in plan.models),
        fit=plan.fit,
        diagnosis=diagnosis,
        effective=plan.effective or pool.status.effective,
    )


def _accepted(plan: PoolPlan) -> Verdict:
    kind = ConditionType.ACCEPTED
    if plan.refused:
        first = plan.refused[0]
        return false(kind, Reason.UNSUPPORTED_FIELD, f"{first.path}: {first.message}")
    if plan.conflicts:
        return false(kind, Reason.NAME_CONFLICT, plan.conflicts[0].message)
    return true(kind, Reason.ACCEPTED, "The engine honours every field.")


def _models_ready(plan: PoolPlan) -> Verdict:
    kind = ConditionType.MODELS_READY
    if plan.missing:
        wanted = ", ".join(plan.missing)
        message = f"There is no LocalModel {wanted} in this namespace; create it."
        return false(kind, Reason.MODEL_NOT_FOUND, message)
    if plan.waiting:
        message = f"Waiting for LocalModel {', '.join(plan.waiting)} to become Ready."
        return false(kind, Reason.WAITING_FOR_MODEL, message)
    return true(kind, Reason.READY, "Every model is in its claim, verified.")


def _fits(plan: PoolPlan) -> Verdict:
    kind = ConditionType.FITS
    if plan.fit is None or plan.fit.limit_bytes is None:
        return unknown(kind, Reason.NOT_ESTIMATED, "hardware.memory is not declared.")
    if plan.fit.needed_bytes > plan.fit.limit_bytes:
        return false(kind, Reason.DOES_NOT_FIT, plan.fit.explanation)
    return true(kind, Reason.FITS, plan.fit.explanation)


def _live(facts: PoolFacts) -> list[PodFact]:
    return sorted((pod for pod in facts.pods if not pod.deleting), key=lambda pod: pod.name)


def _scheduled(facts: PoolFacts, plan: PoolPlan, diagnosis: Sequence[Diagnosis]) -> Verdict:
    kind = ConditionType.SCHEDULED
    if plan.replicas == 0:
        return true(kind, Reason.SCALED_TO_ZERO, "The pool is scaled to zero.")
    pods = _live(facts)
    if any(pod.unschedulable_message for pod in pods) and diagnosis:
        return _from(kind, diagnosis[0])
    if len([pod for pod in pods if pod.scheduled]) < plan.replicas:
        if diagnosis and not pods:
            return _from(kind, diagnosis[0])
        return false(kind, Reason.WAITING_FOR_PODS, "The replicas' pods are being made.")
    return true(kind, Reason.SCHEDULED, "Every replica has a node.")


def _from(kind: ConditionType, cause: Diagnosis) -> Verdict:
    return false(kind, Reason(cause.reason), f"{cause.object}: {cause.cause} {cause.fix}")


def _engines_ready(facts: PoolFacts, plan: PoolPlan, diagnosis: Sequence[Diagnosis]) -> Verdict:
    kind = ConditionType.ENGINES_READY
    if plan.replicas == 0:
        return true(kind, Reason.SCALED_TO_ZERO, "The pool is scaled to zero.")
    deployment = facts.deployment
    if deployment is None:
        return false(kind, Reason.WAITING_FOR_PODS, "There are no replicas yet.")
    whole = deployment.ready >= plan.replicas and deployment.updated >= plan.replicas
    if whole and deployment.replicas == deployment.updated:
        return true(kind, Reason.READY, "Every replica answers its health route.")
    if diagnosis:
        cause = diagnosis[0]
        serving = "" if deployment.ready == 0 else " The previous revision keeps serving."
        message = f"{cause.object}: {cause.cause} {cause.fix}{serving}"
        return false(kind, Reason(cause.reason), message)
    if deployment.progressing_reason == "ProgressDeadlineExceeded":
        message = "The new revision did not become ready in time; the old one keeps serving."
        return false(kind, Reason.ROLLOUT_FAILED, message)
    return false(kind, Reason.LOADING, "The replicas are loading their models.")


def _model_verified(facts: PoolFacts, plan: PoolPlan) -> Verdict:
    kind = ConditionType.MODEL_VERIFIED
    if plan.replicas == 0:
        return true(kind, Reason.SCALED_TO_ZERO, "The pool is scaled to zero.")
    ready = [pod for pod in _live(facts) if pod.ready]
    if not ready:
        return unknown(kind, Reason.NOT_CHECKED, "No engine is ready to be asked.")
    for pod in ready:
        report = facts.reports.get(pod.uid)
        if report is None or not report.answering:
            return unknown(kind, Reason.NOT_CHECKED, "The engines are being asked.")
        for model in report.models:
            if model.error is not None:
                wrong = model.digest is not None and model.generated is None
                reason = Reason.WRONG_MODEL if wrong else Reason.NO_ANSWER
                return false(kind, reason, f"Pod/{pod.name}: {model.error}")
    message = "Every replica serves the right digest and generated a token with it."
    return true(kind, Reason.MODEL_ANSWERED, message)


def _endpoint(facts: PoolFacts) -> Endpoint:
    metadata = facts.pool.metadata
    host = f"http://{names.pool_child_name(metadata.name)}.{metadata.namespace}.svc"
    is_ollama = facts.pool.spec.engine.name == EngineName.OLLAMA
    return Endpoint(openai=f"{host}/v1", ollama=f"{host}/api" if is_ollama else None)


def _served(facts: PoolFacts, model: PooledModel) -> ServedModel:
    """Say where one model is loaded, as its engines answered."""
    loaded, known, digests = [], False, set()
    for pod in _live(facts):
        report = facts.reports.get(pod.uid)
        for each in report.models if report else ():
            if each.served_as == model.served_as:
                known = True
                digests |= {each.digest} - {None}
                if each.loaded:
                    loaded.append(pod.name)
    return ServedModel(
        name=model.model.metadata.name,
        served_as=model.served_as,
        digest=next(iter(sorted(filter(None, digests))), None),
        state=LOADED if loaded else ON_DEMAND if known else ABSENT,
        loaded_on=tuple(loaded),
    )


def _diagnosis(facts: PoolFacts, refusals: Sequence[Refusal]) -> tuple[Diagnosis, ...]:
    found = [
        Diagnosis(
            object=refusal.object,
            reason=refusal.reason,
            cause=refusal.message,
            fix="Change what the message names; it is tried again.",
        )
        for refusal in refusals
    ]
    for pod in _live(facts):
        found += diagnose_pod(pod, facts.events)
    if facts.deployment is not None and facts.deployment.replica_failure is not None:
        found.append(_replica_failure(facts.deployment.name, facts.deployment.replica_failure))
    return tuple(found)


def _replica_failure(name: str, message: str) -> Diagnosis:
    """Word why pods of a Deployment are refused: a quota, Pod Security, something else."""
    quota, security = "exceeded quota" in message, "violates PodSecurity" in message
    reason = (
        Reason.QUOTA_EXCEEDED
        if quota
        else Reason.POD_SECURITY
        if security
        else Reason.ADMISSION_FAILED
    )
    return Diagnosis(
        object=f"Deployment/{name}",
        reason=reason,
        cause=f"The cluster refuses the replicas' pods: {' '.join(message.split())[:500]}",
        fix="Raise the quota, or change the namespace's policy or the pool.",
    )
