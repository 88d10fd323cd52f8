"""What a LocalModel needs next: its claim, its pull, or on deletion the freeing of its blobs.

Pure: facts in, a ModelPlan out. `status.model` words what is decided here.
"""

from dataclasses import dataclass, field, replace
from datetime import timedelta

from paddock import kinds, names
from paddock.api.localmodel import Artifact, LocalModel, ModelEffective, Pull, Storage
from paddock.api.pull import PullFailure, PullReason, PullReport, PullResult
from paddock.api.source import ClaimSource, Source, SourceError, parse_source
from paddock.facts import Apply, Change, Delete, Done, JobFact, ModelFacts, Outcome, Refusal, Wait
from paddock.plan.changes import ChangePlan, plan_changes
from paddock.plan.claim import DEFAULT_ACCESS_MODES, DEFAULT_SIZE, build_claim
from paddock.plan.pull_job import (
    CHECK,
    DEFAULT_DEADLINE,
    DEFAULT_PARALLELISM,
    FREE,
    PULL,
    attempt_hash,
    build_free_job,
    build_pull_job,
    pull_hash,
)
from paddock.plan.quantity import bytes_of
from paddock.plan.requests import is_due
from paddock.plan.upstream import UpstreamPlan, plan_upstream
from paddock.settings import Settings

RETAIN, DELETE = "Retain", "Delete"
PINNED, TRACK = "Pinned", "Track"


@dataclass(frozen=True, slots=True)
class ModelPlan:
    """The decisions of one pass over a LocalModel."""

    claim_name: str
    effective: ModelEffective
    changes: tuple[Change, ...] = ()
    outcome: Outcome = field(default_factory=Done)
    refusal: str | None = None
    """Why the spec cannot be carried out, as a sentence; nothing is changed then."""
    job: JobFact | None = None
    """The pull Job of the current wish."""
    artifact: Artifact | None = None
    """What is in the store, if it is there."""
    failure: PullFailure | None = None
    upstream: UpstreamPlan = field(default_factory=UpstreamPlan)
    conflicts: tuple[Refusal, ...] = ()
    finalizers: tuple[str, ...] | None = None
    """The finalizers to have, if they must change."""


def plan_model(facts: ModelFacts, settings: Settings) -> ModelPlan:
    """Decide the next step of one LocalModel."""
    model = facts.model
    claim = claim_of(model)
    effective = _effective(model)
    try:
        parse_source(model.spec.source)
    except SourceError as error:
        return ModelPlan(claim, effective, refusal=str(error))
    if model.metadata.deletion_timestamp is not None:
        return _plan_deletion(facts, settings, claim, effective)
    return _plan_pull(facts, settings, claim, effective)


def claim_of(model: LocalModel) -> str:
    """Return the name of the claim a model lives in."""
    return _users_claim(model) or names.claim_name(model.metadata.name)


def _users_claim(model: LocalModel) -> str | None:
    """Return the name of the claim that is not of our making, if the model lives in one."""
    try:
        source: Source | None = parse_source(model.spec.source)
    except SourceError:
        source = None
    if isinstance(source, ClaimSource):
        return source.claim
    return (model.spec.storage or Storage()).claim_name


def _effective(model: LocalModel) -> ModelEffective:
    storage, pull = model.spec.storage or Storage(), model.spec.pull or Pull()
    own = _users_claim(model) is None
    return ModelEffective(
        quantization=model.spec.quantization,
        update_policy=model.spec.update_policy or PINNED,
        retain=storage.retain or RETAIN,
        size=str(storage.size or DEFAULT_SIZE) if own else None,
        access_modes=(storage.access_modes or DEFAULT_ACCESS_MODES) if own else None,
        parallelism=pull.parallelism or DEFAULT_PARALLELISM,
        deadline_seconds=pull.deadline_seconds or DEFAULT_DEADLINE,
    )


def _shares_claim(facts: ModelFacts) -> bool:
    return _users_claim(facts.model) is not None or bool(facts.siblings)


def _plan_pull(
    facts: ModelFacts, settings: Settings, claim: str, effective: ModelEffective
) -> ModelPlan:
    name = names.pull_job_name(facts.model.metadata.name, pull_hash(facts.model, claim))
    job = next((each for each in facts.jobs if each.name == name), None)
    claims = _claim_changes(facts, effective)
    stale = tuple(
        _delete_job(facts, each)
        for each in facts.jobs
        if each.purpose == PULL and each.name != name and not each.deleting
    )
    before = (*stale, *claims.changes)
    base = ModelPlan(
        claim,
        effective,
        conflicts=claims.refusals,
        finalizers=_finalizers(facts, effective),
    )
    if job is None:
        wanted = build_pull_job(
            facts.model,
            settings,
            claim=claim,
            locked_digest=_expected_digest(facts, effective),
            max_bytes=_max_bytes(facts),
        )
        return replace(base, changes=(*before, Apply(wanted)))
    report = _report(job)
    artifact, failure = _artifact(facts.model, job, report), report.failure or _job_failure(job)
    changes, outcome = _after(facts, settings, job, artifact, failure)
    plan = replace(
        base,
        changes=(*before, *changes),
        outcome=outcome,
        job=job,
        artifact=artifact,
        failure=failure if job.failed else _standing_failure(facts, job, report),
    )
    return plan if artifact is None else _with_upstream(plan, facts, settings, job, artifact)


def _standing_failure(facts: ModelFacts, job: JobFact, report: PullReport) -> PullFailure | None:
    """Return what is in the way of a pull that still tries.

    What its last pod ended with holds until the next one brings bytes.
    """
    if job.complete:
        return None
    moving = facts.progress is not None and bool(facts.progress.bytes_per_second)
    return facts.trouble or (None if moving else report.failure)


def _with_upstream(
    plan: ModelPlan, facts: ModelFacts, settings: Settings, job: JobFact, artifact: Artifact
) -> ModelPlan:
    """Ask the source now and then; a tracked model is pulled again when it has changed."""
    upstream = plan_upstream(facts, settings, job, artifact)
    changes, outcome = upstream.changes, upstream.outcome
    if upstream.drift == "changed" and plan.effective.update_policy == TRACK:
        changes, outcome = (_delete_job(facts, job),), Wait(settings.delays.progress_poll)
    return replace(plan, changes=(*plan.changes, *changes), outcome=outcome, upstream=upstream)


def _expected_digest(facts: ModelFacts, effective: ModelEffective) -> str | None:
    """Return the digest a new pull must have: the locked one, or what a tracked source has now."""
    if effective.update_policy != TRACK:
        return _locked_digest(facts.model)
    reports = [_report(each) for each in facts.jobs if each.purpose == CHECK]
    known = [report.upstream.digest for report in reports if report.upstream is not None]
    return known[0] if known else None


def _after(
    facts: ModelFacts,
    settings: Settings,
    job: JobFact,
    artifact: Artifact | None,
    failure: PullFailure | None,
) -> tuple[tuple[Change, ...], Outcome]:
    """Decide what an existing pull Job asks for: nothing, patience, or another try."""
    soon = Wait(settings.delays.progress_poll)
    again = (_delete_job(facts, job),)
    runs = any(pod.phase == "Running" for pod in facts.pods)
    patience = soon if runs else Done()
    if job.deleting:
        return (), patience
    if job.complete:
        return ((), Done()) if artifact is not None else (again, soon)
    if _is_asked_for(facts.model, job):
        return again, soon
    if not job.failed:
        return (), patience
    left = _rest(facts, settings, job, failure)
    if left is None:
        return (), Done()
    return (again, soon) if left <= 0 else ((), Wait(left))


def _is_asked_for(model: LocalModel, job: JobFact) -> bool:
    """Tell whether the user wants another try: by a request, or by a spec that is another one."""
    changed = job.failed and job.plan_hash != attempt_hash(model)
    return changed or is_due(model.metadata, names.RETRY_ANNOTATION, job.request)


def _rest(
    facts: ModelFacts, settings: Settings, job: JobFact, failure: PullFailure | None
) -> float | None:
    """Return the seconds until a failed pull is tried again; None means only a change helps."""
    if failure is None or not failure.retry or failure.reason == PullReason.DIGEST_MISMATCH:
        return None
    ended = job.finished_at or facts.now
    due = ended + timedelta(seconds=settings.delays.pull_retry)
    return (due - facts.now).total_seconds()


def _claim_changes(facts: ModelFacts, effective: ModelEffective) -> ChangePlan:
    if _users_claim(facts.model) is not None:
        return ChangePlan()
    owned = effective.retain == DELETE and not facts.siblings
    return plan_changes([build_claim(facts.model, owned=owned)], facts.children)


def _max_bytes(facts: ModelFacts) -> int | None:
    """Return what quantization Auto may weigh: four fifths of the smallest pool's memory."""
    limits = [
        bytes_of(pool.spec.hardware.memory)
        for pool in facts.pools
        if pool.spec.hardware is not None and pool.spec.hardware.memory is not None
    ]
    return min(limits) * 4 // 5 if limits else None


def _locked_digest(model: LocalModel) -> str | None:
    """Return the digest of the first pull, if this spec still names the same source."""
    status = model.status
    same = status.source == model.spec.source and status.artifact is not None
    return status.artifact.digest if same and status.artifact is not None else None


def _report(job: JobFact) -> PullReport:
    if not job.result:
        return PullReport()
    try:
        return PullReport.model_validate_json(job.result)
    except ValueError:
        return PullReport()


def _artifact(model: LocalModel, job: JobFact, report: PullReport) -> Artifact | None:
    """Return what the Job left; when its pod is gone, what the status recorded of it."""
    if not job.complete:
        return None
    if report.result is not None:
        return _artifact_of(report.result)
    recorded = model.status.source == model.spec.source
    return model.status.artifact if recorded else None


def _artifact_of(result: PullResult) -> Artifact:
    return Artifact(
        digest=result.digest,
        format=result.format,
        architecture=result.architecture,
        parameters=result.parameters,
        quantization=result.quantization,
        context_length=result.context_length,
        cache_values_per_token=result.cache_values_per_token,
        chat_template=result.chat_template,
        bytes=result.bytes,
        revision=result.revision,
        files=result.files,
    )


def _job_failure(job: JobFact) -> PullFailure | None:
    """Word the end of a Job whose pod left no report."""
    if not job.failed:
        return None
    deadline = job.failed_reason == "DeadlineExceeded"
    message = (
        "The pull did not end before pull.deadlineSeconds; raise it, what has arrived is kept."
        if deadline
        else "The pull Job's pods ended without a report; see the diagnosis of its pods."
    )
    reason = PullReason.SOURCE_UNREACHABLE if deadline else PullReason.STORAGE_ERROR
    return PullFailure(reason=reason, message=message, retry=True)


def _delete_job(facts: ModelFacts, job: JobFact) -> Delete:
    return Delete(
        kinds.JOBS, facts.model.metadata.namespace, job.name, job.uid, job.resource_version
    )


def _finalizers(facts: ModelFacts, effective: ModelEffective) -> tuple[str, ...] | None:
    """Hold the model only where its bytes are outside owner references: a shared claim."""
    own = facts.model.metadata.finalizers
    needed = effective.retain == DELETE and _shares_claim(facts)
    if needed == (names.FINALIZER in own):
        return None
    if needed:
        return (*own, names.FINALIZER)
    return tuple(each for each in own if each != names.FINALIZER)


def _plan_deletion(
    facts: ModelFacts, settings: Settings, claim: str, effective: ModelEffective
) -> ModelPlan:
    """Free the blobs of a model that asked for it, once no pool uses it; then let it go."""
    model = facts.model
    if names.FINALIZER not in model.metadata.finalizers:
        return ModelPlan(claim, effective)
    if facts.pools:
        return ModelPlan(claim, effective)
    remaining = tuple(each for each in model.metadata.finalizers if each != names.FINALIZER)
    gone = facts.claim is None or facts.claim.deleting
    if gone or effective.retain == RETAIN:
        return ModelPlan(claim, effective, finalizers=remaining)
    job = next((each for each in facts.jobs if each.purpose == FREE), None)
    if job is None:
        free = build_free_job(model, settings, claim=claim)
        return ModelPlan(claim, effective, (Apply(free),), Wait(settings.delays.progress_poll))
    if job.complete or job.failed:
        return ModelPlan(claim, effective, finalizers=remaining)
    return ModelPlan(claim, effective, outcome=Wait(settings.delays.progress_poll), job=job)
