"""The status of a LocalModel: conditions, artifact, progress, diagnosis. Pure."""

from collections.abc import Iterable, Iterator

from paddock.api.base import Diagnosis
from paddock.api.localmodel import Artifact, LocalModel, LocalModelStatus
from paddock.api.pull import PullReason
from paddock.api.reasons import ConditionType, Reason
from paddock.facts import ModelFacts, Refusal
from paddock.plan.model import TRACK, ModelPlan
from paddock.status.conditions import Verdict, false, merge, true, unknown
from paddock.status.pod_diagnosis import diagnose_pod
from paddock.status.refusals import diagnose_refusal, diagnose_refused_pods
from paddock.status.summary import summarise

_PATIENT = frozenset({Reason.SOURCE_UNREACHABLE, Reason.STORAGE_ERROR})
"""Reasons that stall a model when the pull Job has used up its tries; then it rests longer."""


def status_of_model(
    facts: ModelFacts, plan: ModelPlan, refusals: tuple[Refusal, ...]
) -> LocalModelStatus:
    """Return the whole status of one LocalModel."""
    model = facts.model
    diagnosis = _diagnosis(facts, plan, refusals)
    pulled = _pulled(facts, plan, diagnosis)
    verified = _verified(model, plan)
    given_up = plan.job is not None and plan.job.failed
    ready = summarise(
        (pulled, verified),
        "The weights are in the claim, verified.",
        stalling_now=_PATIENT if given_up else (),
    )
    pulling = plan.job is not None and not plan.job.complete
    return LocalModelStatus(
        observed_generation=model.metadata.generation,
        conditions=merge(
            model.status.conditions,
            _deleting(facts) or (*ready, pulled, verified, _up_to_date(plan)),
            generation=model.metadata.generation,
            now=facts.now,
        ),
        artifact=plan.artifact or _kept_artifact(model),
        source=model.spec.source if plan.artifact else _kept_source(model),
        progress=facts.progress if pulling else None,
        claim_name=plan.claim_name,
        used_by=tuple(sorted(pool.metadata.name for pool in facts.pools)),
        diagnosis=diagnosis,
        effective=plan.effective,
    )


def _kept_artifact(model: LocalModel) -> Artifact | None:
    """Keep the lock of the first pull while the same source is being pulled again."""
    return model.status.artifact if model.status.source == model.spec.source else None


def _kept_source(model: LocalModel) -> str | None:
    return model.status.source if model.status.source == model.spec.source else None


def _deleting(facts: ModelFacts) -> tuple[Verdict, ...] | None:
    """Tell of a model that goes what it waits for; of its weights nothing is judged any more."""
    if facts.model.metadata.deletion_timestamp is None:
        return None
    users = ", ".join(sorted(pool.metadata.name for pool in facts.pools))
    message = (
        f"The model is deleted when no pool uses it; {users} still do."
        if users
        else "The model's bytes are being freed."
    )
    return (
        false(ConditionType.READY, Reason.DELETING, message),
        true(ConditionType.RECONCILING, Reason.DELETING, message),
    )


def _pulled(facts: ModelFacts, plan: ModelPlan, diagnosis: tuple[Diagnosis, ...]) -> Verdict:
    """Tell how the pull stands; a Job that is not there yet was made by this very pass."""
    kind = ConditionType.PULLED
    if plan.refusal is not None:
        return false(kind, Reason.INVALID_SPEC, f"spec.source: {plan.refusal}")
    if plan.artifact is not None:
        return true(kind, Reason.PULLED, "Every file of the model is in the claim.")
    if diagnosis:
        first = diagnosis[0]
        return false(kind, Reason(first.reason), f"{first.object}: {first.cause} {first.fix}")
    waiting = not any(pod.phase == "Running" for pod in facts.pods)
    if waiting:
        return false(kind, Reason.WAITING_FOR_PODS, "The pull's pod is starting.")
    return false(kind, Reason.PULLING, "The model is being pulled; see status.progress.")


def _verified(model: LocalModel, plan: ModelPlan) -> Verdict:
    kind = ConditionType.VERIFIED
    if plan.artifact is not None:
        pinned = model.spec.digest is not None
        what = "the digest in the spec" if pinned else "the digest of the first pull"
        return true(kind, Reason.DIGEST_MATCHES, f"The bytes have {what}.")
    if plan.failure is not None and plan.failure.reason == PullReason.DIGEST_MISMATCH:
        return false(kind, Reason.DIGEST_MISMATCH, plan.failure.message)
    return unknown(kind, Reason.NOT_CHECKED, "Nothing has been pulled yet.")


def _up_to_date(plan: ModelPlan) -> Verdict:
    kind, upstream = ConditionType.UP_TO_DATE, plan.upstream
    if plan.artifact is None:
        return unknown(kind, Reason.NOT_CHECKED, "Nothing has been pulled yet.")
    if upstream.drift == "same":
        return true(kind, Reason.UP_TO_DATE, "The source still offers these bytes.")
    if upstream.drift == "changed":
        tracked = plan.effective.update_policy == TRACK
        what = "they are being pulled" if tracked else "set updatePolicy: Track to take them"
        message = f"The source offers other bytes now; {what}."
        return false(kind, Reason.UPSTREAM_CHANGED, message)
    if upstream.failure is not None:
        reason = Reason(upstream.failure.reason)
        return unknown(kind, reason, f"The source was asked in vain. {upstream.failure.message}")
    return unknown(kind, Reason.NOT_CHECKED, "The source has not been asked since the pull.")


def _diagnosis(
    facts: ModelFacts, plan: ModelPlan, refusals: tuple[Refusal, ...]
) -> tuple[Diagnosis, ...]:
    if plan.artifact is not None and not refusals:
        return ()
    found = [diagnose_refusal(refusal) for refusal in refusals]
    if plan.failure is not None:
        found.append(_pull_failure(facts, plan))
    else:
        for pod in sorted(facts.pods, key=lambda pod: pod.name):
            found += _news(facts, diagnose_pod(pod, facts.events))
        found += _refused_pods(facts)
    return tuple(found)


def _news(facts: ModelFacts, causes: Iterable[Diagnosis]) -> Iterator[Diagnosis]:
    """Leave out that there is no claim where there is one: the scheduler learns of it late."""
    there = facts.claim is not None and not facts.claim.deleting
    return (cause for cause in causes if not (there and cause.reason == Reason.CLAIM_NOT_FOUND))


def _refused_pods(facts: ModelFacts) -> Iterator[Diagnosis]:
    """Tell of Jobs that get no pod: the newest warning of each, which all say the same."""
    for job in facts.jobs:
        name = f"Job/{job.name}"
        said = [
            event.message
            for event in facts.events
            if event.object == name and event.reason == _NO_POD
        ]
        yield from (
            diagnose_refused_pods(name, message, smaller="pull.resources") for message in said[-1:]
        )


def _pull_failure(facts: ModelFacts, plan: ModelPlan) -> Diagnosis:
    failure = plan.failure
    if failure is None:
        raise ValueError("there is no failure to tell")
    retried = "It is tried again by itself." if failure.retry else "Correct the spec to try again."
    return Diagnosis(
        object=f"LocalModel/{facts.model.metadata.name}",
        reason=failure.reason,
        cause=failure.message,
        fix=_FIXES.get(failure.reason, retried),
    )


_NO_POD = "FailedCreate"
_FIXES = {
    "SourceUnauthorized": "Put a valid token in a Secret and name it in credentials.secretName; "
    "where only the Secret changes, ask for another try by the annotation paddock.dev/retry.",
    "SourceNotFound": "Correct spec.source or spec.quantization.",
    "SourceForbidden": "Use another source, or ask the administrator to allow this one.",
    "DigestMismatch": "Correct spec.digest, or make the model anew to accept other bytes.",
    "InsufficientStorage": "Raise storage.size or free space in the claim.",
}
