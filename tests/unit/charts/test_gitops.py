"""GitOps tools see what we mean: health of many statuses, guards on the generation, samples."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import yaml

from paddock import names
from paddock.api.crds import build_inference_pool_crd, build_local_model_crd
from paddock.api.inferencepool import EngineName
from paddock.api.localmodel import LocalModel
from paddock.api.pull import PullFailure, PullReason, PullReport
from paddock.errors import ApiError, InvalidError
from paddock.facts import ContainerFact, JobFact, ModelFacts, PoolFacts
from paddock.plan.model import plan_model
from paddock.plan.pull_job import attempt_hash, pull_hash
from paddock.settings import Settings
from paddock.status.failure import with_failure
from paddock.status.model import status_of_model
from support.charts import ROOT
from support.gitops import AGREEING, argo_act, argo_actions, argo_health, kstatus
from support.objects import NOW, model, result_text
from support.pools import (
    deployment,
    fresh,
    homeless_pod,
    ready_pod,
    settled,
    status_of,
    waiting_pod,
)
from support.rules import check_status

GITOPS = ROOT / "manifests" / "gitops"
REASONS = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull",
           "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed",
           "CreateContainerConfigError", "CreateContainerError", "RunContainerError",
           "ContainerCreating", "PodInitializing")  # fmt: skip
HOMELESS = ("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.",
            "0/1 nodes are available: 1 Insufficient memory.",
            "0/1 nodes are available: 1 Insufficient cpu.",
            "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector.",
            "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: true}.",
            "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims.",
            )  # fmt: skip

ACTIONS = {
    names.LOCAL_MODEL: {
        "retry-pull": names.RETRY_ANNOTATION,
        "check-source": names.CHECK_ANNOTATION,
    },
    names.INFERENCE_POOL: {
        "restart": names.RESTART_ANNOTATION,
        "verify": names.VERIFY_ANNOTATION,
    },
}


def pool_stories() -> dict[str, PoolFacts]:
    """Return pools in every situation that this file can name."""
    found: dict[str, PoolFacts] = {}
    for engine in EngineName:
        base = fresh(engine)
        found[f"{engine}-fresh"] = base
        found[f"{engine}-settled"] = settled(base)
        found[f"{engine}-no-model"] = replace(base, models={})
        found[f"{engine}-asleep"] = settled(fresh(engine, replicas=0))
        found[f"{engine}-rolling"] = replace(
            settled(base), deployment=deployment(1, updated=0, ready=1)
        )
        found[f"{engine}-unproven"] = replace(settled(base), reports={})
        found[f"{engine}-half"] = replace(
            settled(fresh(engine, replicas=2)),
            deployment=deployment(2, ready=1), pods=(ready_pod(0), homeless_pod(HOMELESS[0], 1)),
        )  # fmt: skip
    for reason in REASONS:
        pod = waiting_pod(ContainerFact("engine", waiting_reason=reason, image="engine:1"))
        found[reason] = replace(settled(fresh()), deployment=deployment(1, ready=0), pods=(pod,))
    for message in HOMELESS:
        pods = (homeless_pod(message),)
        found[message] = replace(settled(fresh()), deployment=deployment(1, ready=0), pods=pods)
    killed = ContainerFact("engine", restarts=3, last_exit_code=137, last_exit_reason="OOMKilled")
    found["killed"] = replace(
        settled(fresh()), deployment=deployment(1, ready=0), pods=(waiting_pod(killed),)
    )
    return found


def model_stories() -> dict[str, ModelFacts]:
    """Return models at every end that a pull can have, with and without hope."""
    subject = model()
    found = {"new": ModelFacts(model=subject, now=NOW)}
    for reason in PullReason:
        failure = PullFailure(reason=reason, message=f"{reason} it is.", retry=False)
        result = PullReport(failure=failure).model_dump_json(by_alias=True)
        found[reason] = replace(
            found["new"], jobs=(ended_job(subject, failed=True, result=result),)
        )
    done = ended_job(subject, complete=True, result=result_text())
    found["pulled"] = replace(found["new"], jobs=(done,))
    return found


def ended_job(subject: LocalModel, **more: Any) -> JobFact:
    claim = names.claim_name(subject.metadata.name)
    return JobFact(
        name=names.pull_job_name(subject.metadata.name, pull_hash(subject, claim)),
        uid="uid-job", resource_version="9", plan_hash=attempt_hash(subject), purpose="pull",
        finished_at=NOW, **more,
    )  # fmt: skip


def whole_of(facts: PoolFacts | ModelFacts) -> dict[str, Any]:
    """Return the object as the apiserver holds it; its status has passed the rules."""
    if isinstance(facts, PoolFacts):
        generation = facts.pool.metadata.generation
        told = status_of(facts).model_dump(by_alias=True, exclude_none=True)
        return {"metadata": {"generation": generation}, "status": told}
    status = status_of_model(facts, plan_model(facts, Settings()), ())
    check_status(status, generation=facts.model.metadata.generation)
    told = status.model_dump(by_alias=True, exclude_none=True)
    return {"metadata": {"generation": facts.model.metadata.generation}, "status": told}


STORIES = {
    **{(names.INFERENCE_POOL, story): whole_of(facts) for story, facts in pool_stories().items()},
    **{(names.LOCAL_MODEL, story): whole_of(facts) for story, facts in model_stories().items()},
}


def test_statuses_are_many_and_of_every_kind() -> None:
    distinct = {str(whole["status"]["conditions"]) for whole in STORIES.values()}
    assert len(distinct) >= 30
    for kind in (names.INFERENCE_POOL, names.LOCAL_MODEL):
        found = {kstatus(whole) for (own, _), whole in STORIES.items() if own == kind}
        assert found == {"Current", "InProgress", "Failed"}


@pytest.mark.parametrize(("kind", "story"), STORIES)
def test_no_tool_believes_a_status_of_an_older_generation(kind: str, story: str) -> None:
    whole = STORIES[kind, story]
    assert argo_health(kind, whole)[0] == AGREEING[kstatus(whole)]
    newer = {**whole, "metadata": {"generation": whole["metadata"]["generation"] + 1}}
    assert (kstatus(newer), argo_health(kind, newer)[0]) == ("InProgress", "Progressing")
    deleted = {**whole, "metadata": {**whole["metadata"], "deletionTimestamp": "now"}}
    assert argo_health(kind, deleted) == ("Progressing", "Being deleted.")


@pytest.mark.parametrize("kind", ["LocalModel", "InferencePool"])
@pytest.mark.parametrize(
    "status", [None, {}, {"observedGeneration": 1}, {"observedGeneration": 1, "conditions": []}]
)
def test_object_nobody_has_looked_at_is_progressing(
    kind: str, status: dict[str, Any] | None
) -> None:
    whole = {"metadata": {"generation": 1}, **({} if status is None else {"status": status})}
    assert argo_health(kind, whole)[0] == "Progressing"


@pytest.mark.parametrize("crd", [build_local_model_crd(), build_inference_pool_crd()])
def test_object_nobody_has_looked_at_is_not_believed_to_be_well_by_kstatus(crd: Any) -> None:
    """Without a status it would be: kstatus takes an object that says nothing for done."""
    (version,) = crd["spec"]["versions"]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    whole = {"metadata": {"generation": 1}, "status": status["default"]}
    assert kstatus(whole) == "InProgress"
    assert argo_health(crd["spec"]["names"]["kind"], whole)[0] == "Progressing"


def test_condition_of_an_older_generation_is_not_believed() -> None:
    stale = {"type": "Ready", "status": "True", "message": "Old.", "observedGeneration": 1}
    whole = {
        "metadata": {"generation": 2},
        "status": {"observedGeneration": 2, "conditions": [stale]},
    }
    assert argo_health("LocalModel", whole)[0] == "Progressing"


@pytest.mark.parametrize(
    ("error", "expected", "words"),
    [
        (InvalidError(422, "It is not valid."), "Failed", "It is not valid."),
        (
            ApiError(504, "Timeout: request did\nnot complete within 34s"),
            "InProgress",
            "Timeout: request did not complete within 34s.",
        ),
    ],
)
def test_pass_that_failed_on_a_new_spec_is_told_for_that_spec(
    error: ApiError, expected: str, words: str
) -> None:
    subject = model(ready=True)
    facts = ModelFacts(model=subject, now=NOW)
    before = status_of_model(facts, plan_model(facts, Settings()), ())
    check_status(before, generation=1)
    after = with_failure(before, error, generation=2, now=NOW)
    check_status(after, generation=2)
    whole = {
        "metadata": {"generation": 2},
        "status": after.model_dump(by_alias=True, exclude_none=True),
    }
    assert (kstatus(whole), argo_health("LocalModel", whole)[0]) == (expected, AGREEING[expected])
    assert argo_health("LocalModel", whole)[1] == words


@pytest.mark.parametrize(("kind", "story"), STORIES)
def test_actions_write_the_one_annotation_that_the_operator_knows(kind: str, story: str) -> None:
    whole = STORIES[kind, story]
    offered = argo_actions(kind, whole)
    assert offered <= set(ACTIONS[kind])
    for action in offered:
        after = argo_act(kind, action, whole)
        annotations = after["metadata"].pop("annotations")
        assert set(annotations) == {ACTIONS[kind][action]}
        assert datetime.fromisoformat(*annotations.values())
        assert after["metadata"] == whole["metadata"]
        assert after["status"]["conditions"] == list(whole["status"]["conditions"])


@pytest.mark.parametrize("kind", ["LocalModel", "InferencePool"])
def test_action_keeps_other_annotations(kind: str) -> None:
    for action, annotation in ACTIONS[kind].items():
        own = {"metadata": {"annotations": {"team": "a", annotation: "before"}}, "spec": {"a": 1}}
        after = argo_act(kind, action, own)
        assert after["metadata"]["annotations"].pop(annotation) > "2026"
        assert after == {"metadata": {"annotations": {"team": "a"}}, "spec": {"a": 1}}


def test_actions_are_offered_where_they_do_something() -> None:
    offered = {
        story: argo_actions(kind, whole)
        for (kind, story), whole in STORIES.items()
        if story in {"pulled", "new", "Ollama-settled", "Ollama-asleep"}
    }
    assert offered == {
        "pulled": {"check-source"},
        "new": {"retry-pull"},
        "Ollama-settled": {"restart", "verify"},
        "Ollama-asleep": set(),
    }


def test_samples_name_what_is_in_this_repository() -> None:
    application = load("argocd/application.yaml")[0]["spec"]
    assert (ROOT / application["source"]["path"] / "Chart.yaml").exists()
    (whole,) = load("argocd/applicationset.yaml")
    matrix = whole["spec"]["generators"][0]["matrix"]["generators"]
    elements = matrix[1]["list"]["elements"]
    steps = whole["spec"]["strategy"]["rollingSync"]["steps"]
    order = [each["matchExpressions"][0]["values"][0] for each in steps]
    assert [each["wave"] for each in elements] == order
    assert all((ROOT / "charts" / each["part"] / "Chart.yaml").exists() for each in elements)
    flux = [each for each in load("flux/kustomization.yaml") if each["kind"] == "Kustomization"]
    paths = [each["spec"]["path"] for each in flux if "manifests" in each["spec"]["path"]]
    assert all((ROOT / path / "kustomization.yaml").exists() for path in paths)
    known = {each["metadata"]["name"] for each in flux}
    assert {needed["name"] for each in flux for needed in each["spec"].get("dependsOn", [])} < known


def load(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((GITOPS / name).read_text()))
