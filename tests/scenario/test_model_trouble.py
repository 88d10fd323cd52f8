"""What a LocalModel says while its pull still tries: the trouble at once, and no longer than it is.

A user waits seconds for the cause, not until a Job has used up its tries.
"""

from dataclasses import replace

import pytest

from paddock.api.localmodel import LocalModel, Progress
from paddock.api.pull import PullFailure, PullReason, PullReport
from paddock.facts import ClaimFact, EventFact, JobFact, ModelFacts, PodFact, Wait
from paddock.plan.model import plan_model
from paddock.settings import Settings
from support.models import condition, facts_of, job_of, told
from support.objects import model

SETTINGS = Settings()
RUNNING = PodFact(name="pull", uid="u", phase="Running", scheduled=True)
UNREACHABLE = PullFailure(
    reason=PullReason.SOURCE_UNREACHABLE,
    message="The source cannot be reached: it answers 503.",
    retry=True,
)
MISMATCH = PullFailure(
    reason=PullReason.DIGEST_MISMATCH,
    message="tiny.gguf has digest a and b was expected.",
    retry=False,
)
MOVING = Progress(bytes=10, bytes_per_second=5)


def trying(subject: LocalModel, last: PullFailure | None = None) -> JobFact:
    """Return a Job that is not given up, after a pod of it ended so."""
    text = PullReport(failure=last).model_dump_json(by_alias=True) if last else None
    return job_of(subject, result=text)


def pulling(
    *, last: PullFailure | None = None, trouble: PullFailure | None = None, moving: bool = False
) -> ModelFacts:
    subject = model()
    return facts_of(
        subject,
        jobs=(trying(subject, last),),
        pods=(RUNNING,),
        trouble=trouble,
        progress=MOVING if moving else Progress(bytes=0),
    )


def ready_of(facts: ModelFacts) -> tuple[str, str]:
    return condition(told(facts, plan_model(facts, SETTINGS)), "Ready")


def test_trouble_that_a_running_pull_tells_is_shown_with_a_way_out() -> None:
    facts = pulling(trouble=UNREACHABLE)
    plan = plan_model(facts, SETTINGS)
    status = told(facts, plan)
    assert plan.outcome == Wait(SETTINGS.delays.progress_poll)
    assert condition(status, "Reconciling") == ("True", "SourceUnreachable")
    assert [(each.object, each.cause) for each in status.diagnosis] == [
        ("LocalModel/tiny", UNREACHABLE.message)
    ]


def test_wrong_digest_is_shown_while_the_file_is_fetched_anew() -> None:
    status = told(facts := pulling(trouble=MISMATCH, moving=True), plan_model(facts, SETTINGS))
    assert condition(status, "Verified") == ("False", "DigestMismatch")
    assert condition(status, "Stalled") == ("True", "DigestMismatch")


@pytest.mark.parametrize(
    ("moving", "expected"),
    [(False, ("False", "SourceUnreachable")), (True, ("False", "Pulling"))],
)
def test_end_of_one_pod_is_told_until_the_next_brings_bytes(
    moving: bool,  # noqa: FBT001 - a row of a table
    expected: tuple[str, str],
) -> None:
    assert ready_of(pulling(last=UNREACHABLE, moving=moving)) == expected


def test_trouble_that_is_over_is_not_told() -> None:
    assert ready_of(pulling()) == ("False", "Pulling")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (('Error creating: pods "x" is forbidden: exceeded quota: few, requested: pods=1, used: '
         "pods=0, limited: pods=0"), "QuotaExceeded"),
        (('Error creating: pods "x" is forbidden: failed quota: few: must specify limits.cpu for: '
         "pull"), "QuotaExceeded"),
        (('Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": '
         "unrestricted capabilities"), "PodSecurity"),
        ('Error creating: pods "x" is forbidden: denied the request: no', "AdmissionFailed"),
    ],
)  # fmt: skip
def test_job_that_gets_no_pod_tells_who_refuses_it(message: str, reason: str) -> None:
    subject = model()
    job = trying(subject)
    events = (
        EventFact(f"Job/{job.name}", "SomethingElse", "is of no interest"),
        EventFact(f"Job/{job.name}", "FailedCreate", message),
    )
    facts = facts_of(subject, jobs=(job,), events=events)
    status = told(facts, plan_model(facts, SETTINGS))
    assert condition(status, "Stalled") == ("True", reason)
    assert condition(status, "Pulled") == ("False", reason)
    assert [each.object for each in status.diagnosis] == [f"Job/{job.name}"]
    same = told(again := replace(facts, events=events[::-1]), plan_model(again, SETTINGS))
    assert same == status


def test_claim_that_the_scheduler_has_not_seen_yet_is_not_called_missing() -> None:
    message = '0/1 nodes are available: persistentvolumeclaim "tiny-weights" not found.'
    pod = PodFact(name="pull", uid="u", phase="Pending", unschedulable_message=message)
    claim = ClaimFact(name="tiny-weights", uid="c", resource_version="1", phase="Pending")
    subject = model()
    facts = facts_of(subject, jobs=(trying(subject),), pods=(pod,), claim=claim)
    assert ready_of(facts) == ("False", "WaitingForPods")
    assert ready_of(replace(facts, claim=None)) == ("False", "ClaimNotFound")
