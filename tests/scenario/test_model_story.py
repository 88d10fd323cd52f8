"""A LocalModel from nothing to Ready and through every trouble, as facts in and decisions out."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from paddock import names
from paddock.api.localmodel import LocalModel
from paddock.api.pull import (
    PLAN_VARIABLE,
    PullPlan,
    PullReason,
    PullReport,
    Upstream,
)
from paddock.facts import (
    Apply,
    Children,
    ClaimFact,
    Delete,
    Done,
    JobFact,
    PodFact,
    Wait,
)
from paddock.plan.model import ModelPlan, plan_model
from paddock.plan.pull_job import attempt_hash
from paddock.settings import Settings
from support.models import condition, facts_of, failed_job, job_of, told
from support.objects import DIGEST, NOW, OTHER_DIGEST, SOURCE, model, pool, result_text

SETTINGS = Settings()


def applied(plan: ModelPlan) -> list[str]:
    return [str(change.manifest["kind"]) for change in plan.changes if isinstance(change, Apply)]


def with_claim(plan: ModelPlan) -> Children:
    """Make the claim of a plan the live one."""
    claim = next(
        change.manifest
        for change in plan.changes
        if isinstance(change, Apply) and change.manifest["kind"] == "PersistentVolumeClaim"
    )
    return Children({("PersistentVolumeClaim", names.claim_name("tiny")): claim})


def test_new_model_gets_a_claim_and_a_pull_job() -> None:
    facts = facts_of(model())
    plan = plan_model(facts, SETTINGS)
    assert applied(plan) == ["PersistentVolumeClaim", "Job"]
    assert condition(told(facts, plan), "Ready") == ("False", "WaitingForPods")


def test_status_that_tells_of_a_new_pull_needs_no_second_write() -> None:
    subject = model()
    facts = facts_of(subject)
    plan = plan_model(facts, SETTINGS)
    first = told(facts, plan)
    claim = ClaimFact(names.claim_name("tiny"), uid="c", resource_version="1", phase="Pending")
    later = replace(
        facts, jobs=(job_of(subject),), children=with_claim(plan), claim=claim,
        model=subject.model_copy(update={"status": first}),
    )  # fmt: skip
    assert told(later, plan_model(later, SETTINGS)) == first


def test_running_pull_is_left_alone_and_watched() -> None:
    subject = model()
    children = with_claim(plan_model(facts_of(subject), SETTINGS))
    pod = PodFact(name="p", uid="u", phase="Running", scheduled=True)
    facts = facts_of(subject, children=children, jobs=(job_of(subject),), pods=(pod,))
    plan = plan_model(facts, SETTINGS)
    assert plan.changes == ()
    assert plan.outcome == Wait(SETTINGS.delays.progress_poll)
    assert condition(told(facts, plan), "Ready") == ("False", "Pulling")


def test_pull_that_has_not_begun_waits_for_events_alone() -> None:
    subject = model()
    children = with_claim(plan_model(facts_of(subject), SETTINGS))
    pod = PodFact(name="p", uid="u", phase="Pending")
    for pods in ((), (pod,)):
        facts = facts_of(subject, children=children, jobs=(job_of(subject),), pods=pods)
        plan = plan_model(facts, SETTINGS)
        assert (plan.changes, plan.outcome) == ((), Done())


def test_finished_pull_makes_the_model_ready_and_costs_nothing_more() -> None:
    subject = model()
    children = with_claim(plan_model(facts_of(subject), SETTINGS))
    job = job_of(subject, complete=True, result=result_text(), finished_at=NOW)
    facts = facts_of(subject, children=children, jobs=(job,))
    plan = plan_model(facts, SETTINGS)
    assert plan.changes == ()
    assert plan.outcome == Wait(SETTINGS.delays.upstream_check)
    status = told(facts, plan)
    assert condition(status, "Ready") == ("True", "Ready")
    assert status.artifact is not None
    assert status.artifact.digest == DIGEST


def test_the_same_situation_gives_the_same_status() -> None:
    subject = model()
    job = job_of(subject, complete=True, result=result_text())
    facts = facts_of(subject, jobs=(job,))
    first = told(facts, plan_model(facts, SETTINGS))
    later = replace(facts, model=subject.model_copy(update={"status": first}))
    later = replace(later, now=NOW + timedelta(hours=1))
    assert told(later, plan_model(later, SETTINGS)) == first


def test_lost_pod_of_a_finished_pull_is_read_from_the_recorded_status() -> None:
    subject = model(ready=True)
    facts = facts_of(subject, jobs=(job_of(subject, complete=True),))
    plan = plan_model(facts, SETTINGS)
    assert plan.artifact == subject.status.artifact


def test_lost_pod_and_lost_status_pull_again() -> None:
    subject = model()
    facts = facts_of(subject, jobs=(job_of(subject, complete=True),))
    (change,) = [c for c in plan_model(facts, SETTINGS).changes if isinstance(c, Delete)]
    assert change.uid == "job-uid"
    assert change.resource_version == "9"


def test_first_digest_is_locked_for_the_next_pull() -> None:
    subject = model(ready=True)
    plan = plan_model(facts_of(subject), SETTINGS)
    assert pull_plan(plan).digest == DIGEST


def test_changed_source_unlocks_the_digest_and_replaces_the_job() -> None:
    before = model(ready=True)
    old = job_of(before, complete=True, result=result_text())
    after = model(ready=True, source="https://models.example.com/other.gguf")
    after = after.model_copy(update={"status": before.status})
    plan = plan_model(facts_of(after, jobs=(old,)), SETTINGS)
    assert isinstance(plan.changes[0], Delete)
    assert pull_plan(plan).digest is None


def pull_plan(plan: ModelPlan) -> PullPlan:
    job: Any = plan.changes[-1].manifest  # type: ignore[union-attr]  # the last change applies the Job
    (variable,) = job["spec"]["template"]["spec"]["containers"][0]["env"]
    assert variable["name"] == PLAN_VARIABLE
    return PullPlan.model_validate_json(variable["value"])


def test_pinned_digest_goes_into_the_pull() -> None:
    plan = plan_model(facts_of(model(digest=OTHER_DIGEST)), SETTINGS)
    assert pull_plan(plan).digest == OTHER_DIGEST


@pytest.mark.parametrize(
    "reason",
    [
        PullReason.SOURCE_UNAUTHORIZED,
        PullReason.SOURCE_NOT_FOUND,
        PullReason.SOURCE_FORBIDDEN,
        PullReason.DIGEST_MISMATCH,
        PullReason.INVALID_ARTIFACT,
        PullReason.INSUFFICIENT_STORAGE,
    ],
)
def test_failure_that_needs_the_user_stalls_with_its_reason(reason: PullReason) -> None:
    subject = model()
    facts = facts_of(subject, jobs=(failed_job(subject, reason, retry=False),))
    plan = plan_model(facts, SETTINGS)
    assert not any(isinstance(change, Delete) for change in plan.changes)
    assert plan.outcome == Done()
    status = told(facts, plan)
    assert condition(status, "Stalled") == ("True", reason.value)
    assert status.diagnosis[0].reason == reason.value


def test_unreachable_source_is_tried_again_after_its_rest() -> None:
    subject = model()
    job = failed_job(subject, PullReason.SOURCE_UNREACHABLE, retry=True)
    facts = facts_of(subject, jobs=(job,))
    plan = plan_model(facts, SETTINGS)
    assert plan.outcome == Wait(SETTINGS.delays.pull_retry)
    assert condition(told(facts, plan), "Stalled") == ("True", "SourceUnreachable")
    later = replace(facts, now=NOW + timedelta(seconds=SETTINGS.delays.pull_retry))
    assert any(isinstance(change, Delete) for change in plan_model(later, SETTINGS).changes)


def test_failed_pull_is_tried_at_once_when_the_spec_changes() -> None:
    before = model()
    job = failed_job(before, PullReason.SOURCE_UNAUTHORIZED, retry=False)
    after = model(pull={"parallelism": 2})
    plan = plan_model(facts_of(after, jobs=(job,)), SETTINGS)
    assert any(isinstance(change, Delete) for change in plan.changes)


def test_source_that_cannot_be_read_stalls_with_its_path_and_changes_nothing() -> None:
    facts = facts_of(model(source="hf://only-one-part"))
    plan = plan_model(facts, SETTINGS)
    assert plan.changes == ()
    status = told(facts, plan)
    assert condition(status, "Stalled") == ("True", "InvalidSpec")
    assert "spec.source" in {each.type: each.message for each in status.conditions}["Ready"]


def test_kept_claim_has_no_owner_and_a_deletable_one_has() -> None:
    kept, owned = (
        plan_model(facts_of(model(storage={"retain": retain})), SETTINGS).changes[0].manifest  # type: ignore[union-attr]  # the first change applies the claim
        for retain in ("Retain", "Delete")
    )
    assert "ownerReferences" not in kept["metadata"]
    assert names.OWNER_UID_LABEL not in kept["metadata"]["labels"]
    assert owned["metadata"]["ownerReferences"][0]["uid"] == "uid-tiny"


def test_deletable_claim_is_let_go_while_a_sibling_lives_in_it() -> None:
    subject = model(storage={"retain": "Delete"})
    facts = facts_of(subject, siblings=(model("other"),))
    claim: Any = plan_model(facts, SETTINGS).changes[0].manifest  # type: ignore[union-attr]  # the first change applies the claim
    assert "ownerReferences" not in claim["metadata"]


def test_kept_claim_is_found_again_by_a_new_model_of_the_same_name() -> None:
    first = plan_model(facts_of(model()), SETTINGS)
    renewed = model()
    renewed = renewed.model_copy(
        update={"metadata": renewed.metadata.model_copy(update={"uid": "another"})}
    )
    plan = plan_model(facts_of(renewed, children=with_claim(first)), SETTINGS)
    assert applied(plan) == ["Job"]


def test_claim_of_a_stranger_is_never_touched() -> None:
    stranger = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": names.claim_name("tiny"), "namespace": "team", "uid": "x"},
    }
    children = Children({("PersistentVolumeClaim", names.claim_name("tiny")): stranger})
    plan = plan_model(facts_of(model(), children=children), SETTINGS)
    assert "PersistentVolumeClaim" not in applied(plan)


def test_shared_claim_with_delete_holds_a_finalizer_and_other_models_do_not() -> None:
    shared = model(storage={"claimName": "share", "retain": "Delete"})
    assert plan_model(facts_of(shared), SETTINGS).finalizers == (names.FINALIZER,)
    assert plan_model(facts_of(model()), SETTINGS).finalizers is None
    kept = model(storage={"claimName": "share"})
    assert plan_model(facts_of(kept), SETTINGS).finalizers is None


def deleted_model(*finalizers: str) -> LocalModel:
    subject = model(storage={"claimName": "share", "retain": "Delete"})
    meta = subject.metadata.model_copy(
        update={"deletion_timestamp": "2026-11-21T12:00:00Z", "finalizers": finalizers}
    )
    return subject.model_copy(update={"metadata": meta})


def test_deleted_model_frees_its_blobs_and_then_goes() -> None:
    subject = deleted_model(names.FINALIZER, "foreign/one")
    claim = ClaimFact(name="share", uid="c", resource_version="1", phase="Bound")
    facts = facts_of(subject, claim=claim)
    plan = plan_model(facts, SETTINGS)
    assert applied(plan) == ["Job"]
    assert plan.finalizers is None
    told(facts, plan)
    done = JobFact(name="f", uid="f", resource_version="1", purpose="free", complete=True)
    assert plan_model(replace(facts, jobs=(done,)), SETTINGS).finalizers == ("foreign/one",)


def test_deleted_model_waits_for_the_pools_that_use_it() -> None:
    claim = ClaimFact(name="share", uid="c", resource_version="1", phase="Bound")
    facts = facts_of(deleted_model(names.FINALIZER), claim=claim, pools=(pool(),))
    plan = plan_model(facts, SETTINGS)
    assert plan.changes == ()
    assert plan.finalizers is None
    message = "The model is deleted when no pool uses it; chat still do."
    conditions = told(facts, plan).conditions
    assert [(each.type, each.message) for each in conditions] == [
        ("Ready", message),
        ("Reconciling", message),
    ]


def test_deleted_model_goes_at_once_when_its_claim_is_gone() -> None:
    plan = plan_model(facts_of(deleted_model(names.FINALIZER)), SETTINGS)
    assert plan.finalizers == ()


def test_auto_quantization_is_bounded_by_the_smallest_pool() -> None:
    pools = (pool(hardware={"memory": "10Gi"}), pool(hardware={"memory": "5Gi"}))
    plan = plan_model(facts_of(model(), pools=pools), SETTINGS)
    assert pull_plan(plan).max_bytes == 4 << 30


def test_credentials_are_mounted_and_never_in_the_plan() -> None:
    plan = plan_model(facts_of(model(credentials={"secretName": "token"})), SETTINGS)
    job: Any = plan.changes[-1].manifest  # type: ignore[union-attr]  # the last change applies the Job
    pod = job["spec"]["template"]["spec"]
    assert {"name": "credentials", "secret": {"secretName": "token", "defaultMode": 0o440}} in pod[
        "volumes"
    ]
    assert pod["automountServiceAccountToken"] is False
    assert SOURCE in pod["containers"][0]["env"][0]["value"]


def check_job(subject: LocalModel, upstream: Upstream | None, **more: Any) -> JobFact:
    text = PullReport(upstream=upstream).model_dump_json(by_alias=True) if upstream else None
    return JobFact(
        name="tiny-check",
        uid="check-uid",
        resource_version="11",
        plan_hash=attempt_hash(subject),
        purpose="check",
        result=text,
        **more,
    )


def pulled(subject: LocalModel, **more: Any) -> JobFact:
    return job_of(subject, complete=True, result=result_text(), finished_at=NOW, **more)


def test_source_is_asked_again_only_after_its_time() -> None:
    subject = model()
    facts = facts_of(subject, jobs=(pulled(subject),))
    assert "Job" not in applied(plan_model(facts, SETTINGS))
    later = replace(facts, now=NOW + timedelta(seconds=SETTINGS.delays.upstream_check))
    assert "Job" in applied(plan_model(later, SETTINGS))


def test_old_answer_is_asked_for_anew_after_its_time() -> None:
    subject = model()
    check = check_job(subject, Upstream(digest=DIGEST), complete=True, finished_at=NOW)
    facts = facts_of(subject, jobs=(pulled(subject), check))
    later = replace(facts, now=NOW + timedelta(seconds=SETTINGS.delays.upstream_check))
    (change,) = [c for c in plan_model(later, SETTINGS).changes if isinstance(c, Delete)]
    assert change.uid == "check-uid"


@pytest.mark.parametrize(
    ("upstream", "expected"),
    [
        (Upstream(digest=DIGEST), ("True", "UpToDate")),
        (Upstream(digest=OTHER_DIGEST), ("False", "UpstreamChanged")),
        (Upstream(revision="unknown here"), ("Unknown", "NotChecked")),
        (None, ("Unknown", "NotChecked")),
    ],
)
def test_pinned_model_shows_drift_and_stays_ready(
    upstream: Upstream | None, expected: tuple[str, str]
) -> None:
    subject = model()
    check = check_job(subject, upstream, complete=True, finished_at=NOW)
    facts = facts_of(subject, jobs=(pulled(subject), check))
    plan = plan_model(facts, SETTINGS)
    assert not any(isinstance(change, Delete) for change in plan.changes)
    status = told(facts, plan)
    assert condition(status, "UpToDate") == expected
    assert condition(status, "Ready") == ("True", "Ready")


def test_tracked_model_is_pulled_again_to_the_digest_its_source_has_now() -> None:
    subject = model(ready=True, updatePolicy="Track")
    check = check_job(subject, Upstream(digest=OTHER_DIGEST), complete=True, finished_at=NOW)
    facts = facts_of(subject, jobs=(pulled(subject), check))
    (change,) = [c for c in plan_model(facts, SETTINGS).changes if isinstance(c, Delete)]
    assert change.uid == "job-uid"
    again = plan_model(replace(facts, jobs=(check,)), SETTINGS)
    assert pull_plan(again).digest == OTHER_DIGEST


def test_source_named_by_its_digest_is_never_asked() -> None:
    subject = model(source=f"oci://registry.example.com/models/tiny@{DIGEST}")
    facts = facts_of(subject, jobs=(pulled(subject),), now=NOW + timedelta(days=30))
    plan = plan_model(facts, SETTINGS)
    assert "Job" not in applied(plan)
    assert condition(told(facts, plan), "UpToDate") == ("True", "UpToDate")
