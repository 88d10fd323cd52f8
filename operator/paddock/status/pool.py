"""The status of an InferencePool: conditions, endpoint, models as served, diagnosis. Pure.

A rollout under way is never called Ready, and what its old replicas answer proves nothing of the
new revision.
"""

from dataclasses import dataclass

from paddock import names
from paddock.api.base import Diagnosis
from paddock.api.inferencepool import Endpoint, EngineName, InferencePoolStatus, ServedModel
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import Apply, PodFact, PoolFacts, Refusal
from paddock.plan.deployment import selector
from paddock.plan.engines.profile import PooledModel
from paddock.plan.pool import PoolPlan, live_pods
from paddock.plan.requests import asked
from paddock.raw import at
from paddock.status.conditions import Verdict, false, merge, true, unknown
from paddock.status.fit import fits_verdict
from paddock.status.gateway import gateway_verdict
from paddock.status.pool_diagnosis import diagnose_pool, is_other_model, stalled_cause
from paddock.status.scaling import status_of_scaling
from paddock.status.summary import summarise
from paddock.status.telemetry import telemetry_verdicts
from paddock.wire import Manifest

LOADED, ON_DEMAND, ABSENT = "Loaded", "OnDemand", "Absent"
_OUTSIDE = frozenset({Reason.MODEL_NOT_FOUND, Reason.MODEL_STALLED})
"""Causes that ModelsReady tells."""
_ASKED = "The engines are asked when all are ready."


@dataclass(frozen=True, slots=True)
class _View:
    """What every verdict looks at."""

    facts: PoolFacts
    plan: PoolPlan
    pods: tuple[PodFact, ...]
    diagnosis: tuple[Diagnosis, ...]
    whole: bool
    """Every replica is there, ready and of the newest revision, and none of another."""

    @property
    def pod_causes(self) -> tuple[Diagnosis, ...]:
        return tuple(cause for cause in self.diagnosis if cause.reason not in _OUTSIDE)


def status_of_pool(
    facts: PoolFacts, plan: PoolPlan, refusals: tuple[Refusal, ...]
) -> InferencePoolStatus:
    """Return the whole status of one InferencePool."""
    pool, whole = facts.pool, _is_whole(facts, plan)
    diagnosis = diagnose_pool(facts, plan, (*plan.conflicts, *refusals), whole=whole)
    pods = tuple(sorted(live_pods(facts), key=lambda pod: pod.name))
    view = _View(facts, plan, pods, diagnosis, whole)
    deployment = facts.deployment
    return InferencePoolStatus(
        observed_generation=pool.metadata.generation,
        conditions=merge(
            pool.status.conditions,
            _verdicts(view),
            generation=pool.metadata.generation,
            now=facts.now,
        ),
        replicas=deployment.replicas if deployment else 0,
        ready_replicas=deployment.ready if deployment else 0,
        selector=",".join(f"{key}={value}" for key, value in sorted(selector(pool).items())),
        endpoint=_endpoint(facts) if deployment or plan.wanted else None,
        models=tuple(_served(view, model) for model in plan.models),
        verified_request=_verified_request(view),
        fit=plan.fit or pool.status.fit,
        scaling=status_of_scaling(plan),
        diagnosis=diagnosis,
        effective=plan.effective or pool.status.effective,
    )


def _verified_request(view: _View) -> str | None:
    """Return the newest request that every replica's proof answers; else what it was before."""
    pool, reports = view.facts.pool, view.facts.reports
    wish = asked(pool.metadata, names.VERIFY_ANNOTATION)
    answers = {reports[pod.uid].request if pod.uid in reports else None for pod in view.pods}
    return wish if wish and answers == {wish} else pool.status.verified_request


def _is_whole(facts: PoolFacts, plan: PoolPlan) -> bool:
    deployment = facts.deployment
    if deployment is None or _is_changing(facts, plan):
        return False
    return {deployment.replicas, deployment.updated, deployment.ready} == {plan.replicas}


def _is_changing(facts: PoolFacts, plan: PoolPlan) -> bool:
    """Tell whether the Deployment is being changed, or its controller has not seen that it was."""
    deployment = facts.deployment
    if deployment is not None and deployment.observed_generation < deployment.generation:
        return True
    own = ("Deployment", names.pool_child_name(facts.pool.metadata.name))
    return own in facts.children.manifests and any(
        isinstance(change, Apply) and _identity(change.manifest) == own for change in plan.changes
    )


def _identity(manifest: Manifest) -> tuple[str, str]:
    return str(manifest["kind"]), str(at(manifest, "metadata", "name"))


def _verdicts(view: _View) -> tuple[Verdict, ...]:
    if view.facts.pool.metadata.deletion_timestamp is not None:
        message = "The pool is being deleted with all that was made for it."
        return (
            false(ConditionType.READY, Reason.DELETING, message),
            true(ConditionType.RECONCILING, Reason.DELETING, message),
        )
    accepted, models = _accepted(view.plan), _models_ready(view)
    pods = view.pods if view.whole else ()
    scheduled, fits = _scheduled(view), fits_verdict(view.facts, view.plan, pods)
    engines, verified = _engines_ready(view), _model_verified(view)
    gateway = gateway_verdict(view.facts)
    required = [accepted, models, scheduled, engines, verified, gateway]
    if fits.status == "False" and engines.status != "True":
        required.append(fits)
    zero = view.plan.replicas == 0
    good = "The pool is scaled to zero." if zero else "Every replica serves what is declared."
    said = (accepted, models, scheduled, fits, engines, verified, gateway)
    telemetry = telemetry_verdicts(view.facts, view.plan.replicas)
    return (*summarise(required, good), *said, *telemetry)


def _accepted(plan: PoolPlan) -> Verdict:
    kind = ConditionType.ACCEPTED
    if plan.refused:
        first = plan.refused[0]
        return false(kind, Reason.UNSUPPORTED_FIELD, f"{first.path}: {first.message}")
    if plan.conflicts:
        return false(kind, Reason.NAME_CONFLICT, plan.conflicts[0].message)
    return true(kind, Reason.ACCEPTED, "The engine honours every field.")


def _models_ready(view: _View) -> Verdict:
    kind, plan = ConditionType.MODELS_READY, view.plan
    if plan.missing:
        wanted = ", ".join(plan.missing)
        message = f"There is no LocalModel {wanted} in this namespace; create it."
        return false(kind, Reason.MODEL_NOT_FOUND, message)
    stalled = [name for name in plan.waiting if stalled_cause(view.facts.models[name]) is not None]
    if stalled:
        message = f"LocalModel {', '.join(stalled)} cannot become Ready; its status says why."
        return false(kind, Reason.MODEL_STALLED, message)
    if plan.waiting:
        message = f"Waiting for LocalModel {', '.join(plan.waiting)} to become Ready."
        return false(kind, Reason.WAITING_FOR_MODEL, message)
    return true(kind, Reason.READY, "Every model is in its claim, verified.")


def _scheduled(view: _View) -> Verdict:
    kind = ConditionType.SCHEDULED
    if view.plan.replicas == 0:
        return true(kind, Reason.SCALED_TO_ZERO, "The pool is scaled to zero.")
    homeless = {f"Pod/{pod.name}" for pod in view.pods if pod.unschedulable_message is not None}
    if homeless:
        claims = {cause.object for cause in view.diagnosis if cause.object.startswith("Persistent")}
        for cause in view.pod_causes:
            if cause.object in homeless | claims:
                return _from(kind, cause, _serving(view))
    counted = view.facts.deployment.replicas if view.facts.deployment else 0
    if min(counted, sum(pod.scheduled for pod in view.pods)) < view.plan.replicas:
        if view.pod_causes and not view.pods:
            return _from(kind, view.pod_causes[0], "")
        return false(kind, Reason.WAITING_FOR_PODS, "The replicas' pods are being made.")
    return true(kind, Reason.SCHEDULED, "Every replica has a node.")


def _from(kind: ConditionType, cause: Diagnosis, more: str) -> Verdict:
    message = f"{cause.object}: {cause.cause} {cause.fix}{more}"
    return false(kind, Reason(cause.reason), message)


def _serving(view: _View) -> str:
    """Say what still answers while the pool is not whole."""
    deployment = view.facts.deployment
    if deployment is None or deployment.ready == 0:
        return ""
    mixed = deployment.replicas > deployment.updated or _is_changing(view.facts, view.plan)
    who = "previous revision keeps" if mixed else "other replicas keep"
    return f" The {who} serving."


def _engines_ready(view: _View) -> Verdict:
    kind, deployment = ConditionType.ENGINES_READY, view.facts.deployment
    if view.whole and view.plan.replicas == 0:
        return true(kind, Reason.SCALED_TO_ZERO, "The pool is scaled to zero.")
    if view.whole:
        return true(kind, Reason.READY, "Every replica answers its health route.")
    if view.pod_causes:
        return _from(kind, view.pod_causes[0], _serving(view))
    if deployment is not None:
        surplus = deployment.replicas > view.plan.replicas == deployment.updated
        if surplus and deployment.ready == deployment.replicas:
            return false(kind, Reason.PROGRESSING, "Replicas that are not wanted are ending.")
    message = f"The replicas are loading their models.{_serving(view)}"
    return false(kind, Reason.LOADING, message)


def _model_verified(view: _View) -> Verdict:
    kind = ConditionType.MODEL_VERIFIED
    if view.plan.replicas == 0:
        return true(kind, Reason.SCALED_TO_ZERO, "The pool is scaled to zero.")
    if not view.whole:
        return unknown(kind, Reason.NOT_CHECKED, _ASKED)
    for pod in view.pods:
        verdict = _pod_verified(view, pod)
        if verdict is not None:
            return verdict
    by_name = any(model.digest is None for model in view.plan.models)
    what = "the verified files" if by_name else "the verified digests"
    late = any(not model.preload for model in view.plan.models)
    more = " Models that load on demand are not tried." if late else ""
    message = f"Every replica serves {what} and generated a token.{more}"
    return true(kind, Reason.MODEL_ANSWERED, message)


def _pod_verified(view: _View, pod: PodFact) -> Verdict | None:
    """Return what is wrong or not known of one pod's answers, or None if they are as wanted."""
    kind, report = ConditionType.MODEL_VERIFIED, view.facts.reports.get(pod.uid)
    asking = unknown(kind, Reason.NOT_CHECKED, _ASKED)
    if report is None:
        return asking
    if not report.answering:
        words = report.error or "The engine does not answer its API."
        return false(kind, Reason.ENGINE_NOT_READY, f"Pod/{pod.name}: {words}")
    answers = {loaded.served_as: loaded for loaded in report.models}
    for model in view.plan.models:
        loaded = answers.get(model.served_as)
        if loaded is None:
            return asking
        if loaded.error is not None or is_other_model(loaded, model):
            other = is_other_model(loaded, model)
            reason = Reason.WRONG_MODEL if other else Reason.NO_ANSWER
            words = loaded.error or f"{model.served_as} is not served from its verified bytes."
            return false(kind, reason, f"Pod/{pod.name}: {words}")
    return None


def _endpoint(facts: PoolFacts) -> Endpoint:
    host = f"http://{names.gateway_host(facts.pool.metadata.namespace)}"
    is_ollama = facts.pool.spec.engine.name == EngineName.OLLAMA
    return Endpoint(openai=f"{host}/v1", ollama=host if is_ollama else None)


def _served(view: _View, model: PooledModel) -> ServedModel:
    """Say where one model is loaded, as its engines answered.

    The first answer is told with the first ready replica: by itself it would be one write more.
    """
    deployment = view.facts.deployment
    answers = [
        (pod.name, each)
        for pod in (view.pods if deployment and deployment.ready else ())
        if (report := view.facts.reports.get(pod.uid)) is not None
        for each in report.models
        if each.served_as == model.served_as
    ]
    loaded = tuple(pod for pod, each in answers if each.loaded)
    known = [each for _, each in answers if each.error is None or each.digest is not None]
    digests = sorted({each.digest for each in known if each.digest is not None})
    return ServedModel(
        name=model.model.metadata.name,
        served_as=model.served_as,
        digest=digests[0] if digests else None,
        state=LOADED if loaded else ON_DEMAND if known else ABSENT,
        loaded_on=loaded,
    )
