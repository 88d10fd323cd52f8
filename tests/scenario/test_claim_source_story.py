"""A LocalModel whose weights are already in a claim: looked at in place, nothing is made for it."""

from datetime import timedelta
from typing import Any

from paddock.api.pull import PullPlan, PullReport, Upstream
from paddock.facts import Apply, Done, JobFact, Wait
from paddock.plan.model import ModelPlan, plan_model
from paddock.plan.pull_job import attempt_hash
from paddock.settings import Settings
from support.models import condition, facts_of, job_of, told
from support.objects import DIGEST, NOW, model, result_text

SETTINGS = Settings()
SOURCE = "pvc://shared/mine/m.gguf"


def manifests(plan: ModelPlan) -> list[dict[str, Any]]:
    return [dict(change.manifest) for change in plan.changes if isinstance(change, Apply)]


def pod_of(job: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = job["spec"]["template"]["spec"]
    return spec


def test_its_job_mounts_the_users_claim_and_no_claim_is_made() -> None:
    plan = plan_model(facts_of(model(source=SOURCE)), SETTINGS)
    (job,) = manifests(plan)
    assert job["kind"] == "Job"
    volumes = {each["name"]: each for each in pod_of(job)["volumes"]}
    assert volumes["store"]["persistentVolumeClaim"] == {"claimName": "shared"}
    assert "credentials" not in volumes
    (container,) = pod_of(job)["containers"]
    assert PullPlan.model_validate_json(container["env"][0]["value"]).source == SOURCE
    assert plan.claim_name == "shared"
    assert (plan.effective.size, plan.effective.access_modes) == (None, None)


def test_it_becomes_ready_like_any_other() -> None:
    subject = model(source=SOURCE)
    job = job_of(subject, complete=True, result=result_text(), finished_at=NOW)
    facts = facts_of(subject, jobs=(job,))
    plan = plan_model(facts, SETTINGS)
    assert plan.changes == ()
    assert plan.outcome == Wait(SETTINGS.delays.upstream_check)
    assert plan.finalizers is None
    status = told(facts, plan)
    assert condition(status, "Ready") == ("True", "Ready")
    assert status.claim_name == "shared"


def test_question_whether_it_changed_looks_at_the_claim_and_writes_nothing() -> None:
    subject = model(source=SOURCE)
    late = NOW + timedelta(seconds=SETTINGS.delays.upstream_check + 1)
    job = job_of(subject, complete=True, result=result_text(), finished_at=NOW)
    (check,) = manifests(plan_model(facts_of(subject, jobs=(job,), now=late), SETTINGS))
    (container,) = pod_of(check)["containers"]
    assert {"name": "store", "mountPath": "/store", "readOnly": True} in container["volumeMounts"]
    claims = [each for each in pod_of(check)["volumes"] if "persistentVolumeClaim" in each]
    assert claims == [
        {"name": "store", "persistentVolumeClaim": {"claimName": "shared", "readOnly": True}}
    ]


def test_replaced_file_shows_and_is_not_taken_by_itself() -> None:
    subject = model(source=SOURCE)
    pulled = job_of(subject, complete=True, result=result_text(revision="before"), finished_at=NOW)
    answer = PullReport(upstream=Upstream(revision="after")).model_dump_json(by_alias=True)
    check = JobFact(
        name="check",
        uid="u",
        resource_version="1",
        plan_hash=attempt_hash(subject),
        purpose="check",
        complete=True,
        result=answer,
        finished_at=NOW,
    )
    facts = facts_of(subject, jobs=(pulled, check))
    plan = plan_model(facts, SETTINGS)
    status = told(facts, plan)
    assert condition(status, "UpToDate") == ("False", "UpstreamChanged")
    assert condition(status, "Ready") == ("True", "Ready")
    assert status.artifact is not None
    assert status.artifact.digest == DIGEST


def test_deleting_it_lets_it_go_at_once() -> None:
    subject = model(source=SOURCE)
    gone = subject.model_copy(
        update={"metadata": subject.metadata.model_copy(update={"deletion_timestamp": NOW})}
    )
    plan = plan_model(facts_of(gone), SETTINGS)
    assert plan.changes == ()
    assert plan.outcome == Done()
