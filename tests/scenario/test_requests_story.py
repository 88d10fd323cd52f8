"""What a user asks for by an annotation is done once for each new value, and never undone."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from paddock import names
from paddock.api.base import ObjectMeta
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.pull import PullReason, PullReport, Upstream
from paddock.facts import Apply, Delete, Done, JobFact, ModelFacts, PoolFacts, Wait
from paddock.plan.deployment import revision_of
from paddock.plan.model import plan_model
from paddock.plan.pool import plan_pool
from paddock.plan.pull_job import attempt_hash
from paddock.plan.requests import asked
from support.models import failed_job, job_of
from support.objects import DIGEST, NOW, metadata, model, result_text
from support.pools import SETTINGS, fresh, settled, status_of

Subject = TypeVar("Subject", LocalModel, InferencePool)
LATER = NOW + timedelta(minutes=1)


def annotated(subject: Subject, **wishes: str | None) -> Subject:
    """Return the object with these annotations and no others; None leaves one out."""
    annotations = {f"paddock.dev/{name}": value for name, value in wishes.items() if value}
    metadata = subject.metadata.model_copy(update={"annotations": annotations})
    return subject.model_copy(update={"metadata": metadata})


def pulling(job: JobFact, **wishes: str | None) -> ModelFacts:
    return ModelFacts(model=annotated(model(), **wishes), now=LATER, jobs=(job,))


def deleted(facts: ModelFacts) -> list[str]:
    changes = plan_model(facts, SETTINGS).changes
    return [change.uid for change in changes if isinstance(change, Delete)]


def made_jobs(facts: ModelFacts) -> list[Mapping[str, Any]]:
    """Return the annotations of the Jobs that are made."""
    found = []
    for change in plan_model(facts, SETTINGS).changes:
        if isinstance(change, Apply) and change.manifest["kind"] == "Job":
            metadata: Any = change.manifest["metadata"]
            found.append(metadata["annotations"])
    return found


STALLED = failed_job(model(), PullReason.SOURCE_UNAUTHORIZED, retry=False)
RUNNING = job_of(model())
PULLED = job_of(model(), complete=True, result=result_text(), finished_at=NOW)


@pytest.mark.parametrize("job", [STALLED, RUNNING], ids=["stalled", "running"])
def test_pull_that_is_not_done_is_tried_again_once_for_each_wish(job: JobFact) -> None:
    assert deleted(pulling(job)) == []
    assert deleted(pulling(job, retry="one")) == [job.uid]
    assert deleted(pulling(replace(job, deleting=True), retry="one")) == []
    tried = replace(job, request="one")
    assert deleted(pulling(tried, retry="one")) == []
    assert deleted(pulling(tried, retry="two")) == [job.uid]
    assert deleted(pulling(tried)) == []


def test_new_pull_says_which_wish_made_it() -> None:
    facts = ModelFacts(model=annotated(model(), retry="one"), now=NOW)
    (annotations,) = made_jobs(facts)
    assert annotations[names.REQUEST_ANNOTATION] == "one"
    assert names.REQUEST_ANNOTATION not in made_jobs(ModelFacts(model=model(), now=NOW))[0]


def test_pull_that_is_done_is_not_done_again() -> None:
    assert deleted(pulling(PULLED, retry="one")) == []


def check_of(subject: LocalModel, request: str | None) -> JobFact:
    return JobFact(
        name="tiny-check", uid="check-uid", resource_version="11", purpose="check", request=request,
        plan_hash=attempt_hash(subject), complete=True, finished_at=NOW,
        result=PullReport(upstream=Upstream(digest=DIGEST)).model_dump_json(by_alias=True),
    )  # fmt: skip


def test_source_is_asked_at_once_when_somebody_wants_to_know() -> None:
    assert made_jobs(pulling(PULLED)) == []
    (annotations,) = made_jobs(pulling(PULLED, check="one"))
    assert annotations[names.REQUEST_ANNOTATION] == "one"


@pytest.mark.parametrize(
    ("answered", "wish", "expected"),
    [
        ("one", "one", []),
        ("one", None, []),
        ("one", "two", ["check-uid"]),
        (None, "one", ["check-uid"]),
    ],
)
def test_answer_holds_until_somebody_asks_anew(
    answered: str | None, wish: str | None, expected: list[str]
) -> None:
    facts = pulling(PULLED, check=wish)
    facts = replace(facts, jobs=(PULLED, check_of(facts.model, answered)))
    assert deleted(facts) == expected
    assert made_jobs(facts) == []


def wishing(facts: PoolFacts, **wishes: str | None) -> PoolFacts:
    return replace(facts, pool=annotated(facts.pool, **wishes))


def revision(facts: PoolFacts) -> str | None:
    (deployment,) = [
        each for each in plan_pool(facts, SETTINGS).wanted if each["kind"] == "Deployment"
    ]
    return revision_of(deployment)


@pytest.mark.parametrize("engine", EngineName)
def test_restart_makes_one_new_revision_for_each_wish(engine: EngineName) -> None:
    before = settled(fresh(engine))
    restarting = wishing(before, restart="one")
    assert revision(restarting) != revision(before)
    assert plan_pool(restarting, SETTINGS).changes != ()
    after = settled(restarting)
    assert plan_pool(after, SETTINGS).changes == ()
    assert revision(wishing(after, restart="two")) not in {revision(before), revision(after)}


def test_pods_stay_when_the_wish_for_their_restart_is_taken_back() -> None:
    after = wishing(settled(wishing(settled(fresh()), restart="one")))
    assert plan_pool(after, SETTINGS).changes == ()


def test_wish_to_verify_changes_nothing_and_is_looked_after_until_every_replica_has_answered() -> (
    None
):
    facts = wishing(settled(fresh(replicas=2)), verify="one")
    first, second = facts.reports
    plan = plan_pool(facts, SETTINGS)
    assert (plan.changes, plan.outcome) == ((), Wait(SETTINGS.delays.engine_poll))
    half = replace(facts, reports={**facts.reports, first: answer(facts, first, "one")})
    assert plan_pool(half, SETTINGS).outcome == Wait(SETTINGS.delays.engine_poll)
    assert status_of(half).verified_request is None
    whole = replace(half, reports={**half.reports, second: answer(facts, second, "one")})
    assert plan_pool(whole, SETTINGS).outcome == Done()
    assert status_of(whole).verified_request == "one"


def answer(facts: PoolFacts, pod: str, request: str) -> Any:
    return replace(facts.reports[pod], request=request)


def test_what_was_verified_is_remembered_when_pods_are_new_or_gone() -> None:
    facts = wishing(settled(fresh()), verify="one")
    status = facts.pool.status.model_copy(update={"verified_request": "before"})
    facts = replace(facts, pool=facts.pool.model_copy(update={"status": status}))
    assert status_of(facts).verified_request == "before"
    assert status_of(replace(facts, pods=(), reports={})).verified_request == "before"


@pytest.mark.parametrize(
    ("value", "expected"), [("one", "one"), ("", None), ("x" * 9000, "x" * 64)]
)
def test_wish_is_a_short_text(value: str, expected: str | None) -> None:
    whole = ObjectMeta.model_validate(
        {**metadata("tiny"), "annotations": {names.VERIFY_ANNOTATION: value}}
    )
    assert asked(whole, names.VERIFY_ANNOTATION) == expected
