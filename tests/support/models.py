"""Facts about LocalModels in the states that tests need, and what is told of them."""

from typing import Any

from paddock import names
from paddock.api.localmodel import LocalModel, LocalModelStatus
from paddock.api.pull import PullFailure, PullReason, PullReport
from paddock.facts import JobFact, ModelFacts
from paddock.plan.model import ModelPlan, claim_of
from paddock.plan.pull_job import attempt_hash, pull_hash
from paddock.status.model import status_of_model
from support.objects import NOW
from support.rules import check_status


def facts_of(subject: LocalModel, **more: Any) -> ModelFacts:
    return ModelFacts(model=subject, **{"now": NOW, **more})


def job_of(subject: LocalModel, **more: Any) -> JobFact:
    return JobFact(
        name=names.pull_job_name(subject.metadata.name, pull_hash(subject, claim_of(subject))),
        uid="job-uid",
        resource_version="9",
        plan_hash=attempt_hash(subject),
        purpose="pull",
        **more,
    )


def failed_job(subject: LocalModel, reason: PullReason, *, retry: bool, **more: Any) -> JobFact:
    failure = PullFailure(reason=reason, message="It is so.", retry=retry)
    text = PullReport(failure=failure).model_dump_json(by_alias=True)
    return job_of(subject, failed=True, result=text, finished_at=NOW, **more)


def told(facts: ModelFacts, plan: ModelPlan) -> LocalModelStatus:
    status = status_of_model(facts, plan, ())
    check_status(status, generation=facts.model.metadata.generation)
    return status


def condition(status: LocalModelStatus, kind: str) -> tuple[str, str]:
    found = {each.type: (each.status, each.reason) for each in status.conditions}
    return found[kind]
