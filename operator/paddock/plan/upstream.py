"""Whether the source still offers what was pulled: when to ask, and what the answer means.

Pure. Only a Job reaches the source; between two questions a settled model costs nothing.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from paddock import kinds, names
from paddock.api.localmodel import Artifact
from paddock.api.pull import PullFailure, PullReport, Upstream
from paddock.api.source import RegistrySource, parse_source
from paddock.facts import Apply, Change, Delete, Done, JobFact, ModelFacts, Outcome, Wait
from paddock.plan.pull_job import CHECK, attempt_hash, build_check_job
from paddock.plan.requests import is_due
from paddock.settings import Settings

Drift = Literal["unknown", "same", "changed"]


@dataclass(frozen=True, slots=True)
class UpstreamPlan:
    """When the source is asked next, and what it said last."""

    changes: tuple[Change, ...] = ()
    outcome: Outcome = field(default_factory=Done)
    drift: Drift = "unknown"
    upstream: Upstream | None = None
    failure: PullFailure | None = None


def plan_upstream(
    facts: ModelFacts, settings: Settings, pulled: JobFact, artifact: Artifact
) -> UpstreamPlan:
    """Decide whether to ask the source now."""
    if is_immutable(facts):
        return UpstreamPlan(drift="same")
    jobs = [job for job in facts.jobs if job.purpose == CHECK]
    current = next((job for job in jobs if job.plan_hash == attempt_hash(facts.model)), None)
    stale = tuple(_delete(facts, job) for job in jobs if job is not current and not job.deleting)
    last = current or pulled
    report = _report(current)
    known = UpstreamPlan(
        drift=drift_of(artifact, report.upstream),
        upstream=report.upstream,
        failure=report.failure,
    )
    if not (last.complete or last.failed) or last.deleting:
        return _with(known, stale, Wait(settings.delays.progress_poll))
    left = _seconds_left(facts, settings, last)
    done = current.request if current else None
    if left > 0 and not is_due(facts.model.metadata, names.CHECK_ANNOTATION, done):
        return _with(known, stale, Wait(left))
    if current is not None:
        return _with(known, (*stale, _delete(facts, current)), Wait(settings.delays.progress_poll))
    ask = Apply(build_check_job(facts.model, settings, None))
    return _with(known, (*stale, ask), Wait(settings.delays.progress_poll))


def _seconds_left(facts: ModelFacts, settings: Settings, last: JobFact) -> float:
    """Return how long the last look at the source holds."""
    due = (last.finished_at or facts.now) + timedelta(seconds=settings.delays.upstream_check)
    return (due - facts.now).total_seconds()


def is_immutable(facts: ModelFacts) -> bool:
    """Tell whether the source names its own digest, so that it cannot drift."""
    source = parse_source(facts.model.spec.source)
    return isinstance(source, RegistrySource) and source.reference.startswith("sha256:")


def drift_of(artifact: Artifact, upstream: Upstream | None) -> Drift:
    """Compare digests, or versions where the source tells no digest."""
    if upstream is None:
        return "unknown"
    if upstream.digest is not None:
        return "same" if upstream.digest == artifact.digest else "changed"
    if upstream.revision is None or artifact.revision is None:
        return "unknown"
    return "same" if upstream.revision == artifact.revision else "changed"


def _with(known: UpstreamPlan, changes: tuple[Change, ...], outcome: Outcome) -> UpstreamPlan:
    return UpstreamPlan(changes, outcome, known.drift, known.upstream, known.failure)


def _report(job: JobFact | None) -> PullReport:
    if job is None or not job.result:
        return PullReport()
    try:
        return PullReport.model_validate_json(job.result)
    except ValueError:
        return PullReport()


def _delete(facts: ModelFacts, job: JobFact) -> Delete:
    namespace = facts.model.metadata.namespace
    return Delete(kinds.JOBS, namespace, job.name, job.uid, job.resource_version)
