"""What a pool says of itself as it comes up, rolls and goes; the rule checker sees each status."""

from dataclasses import replace
from datetime import timedelta

import pytest

from paddock.api.base import Condition
from paddock.api.inferencepool import EngineName, ServedModel
from paddock.api.reasons import Reason
from paddock.facts import EngineReport, LoadedModel, PoolFacts, Refusal
from paddock.plan.pool import plan_pool
from paddock.status.pool import status_of_pool
from paddock.wire import Manifest
from support.pools import (
    DIGEST,
    ENGINE,
    OTHER_DIGEST,
    SETTINGS,
    at_generation,
    deployment,
    fresh,
    ready_pod,
    settled,
    status_of,
    summary,
    waiting_pod,
)
from support.rules import check_status
from support.stores import ready_model


def test_new_pool_reconciles_while_its_replicas_are_made() -> None:
    assert summary(status_of(fresh())) == {
        "Ready": "False/WaitingForPods",
        "Reconciling": "True/WaitingForPods",
        "Accepted": "True/Accepted",
        "ModelsReady": "True/Ready",
        "Scheduled": "False/WaitingForPods",
        "Fits": "True/Fits",
        "EnginesReady": "False/Loading",
        "ModelVerified": "Unknown/NotChecked",
        "GatewayReady": "True/Ready",
    }


def test_settled_pool_is_ready_and_says_who_serves_what_where() -> None:
    facts = settled(fresh(replicas=2))
    status = status_of(facts)

    assert summary(status) == {
        "Ready": "True/Ready",
        "Accepted": "True/Accepted",
        "ModelsReady": "True/Ready",
        "Scheduled": "True/Scheduled",
        "Fits": "True/Fits",
        "EnginesReady": "True/Ready",
        "ModelVerified": "True/ModelAnswered",
        "GatewayReady": "True/Ready",
    }
    assert (status.replicas, status.ready_replicas, status.diagnosis) == (2, 2, ())
    assert status.selector == "app.kubernetes.io/component=engine,paddock.dev/pool=chat"
    assert status.endpoint is not None
    assert status.endpoint.openai == "http://paddock-gateway.team.svc/v1"
    assert status.models == (
        ServedModel(
            name="alpha", served_as="alpha", digest=DIGEST, state="Loaded",
            loaded_on=("chat-0", "chat-1"),
        ),
    )  # fmt: skip


def test_endpoint_is_told_with_the_first_word_of_a_pool_and_costs_no_write_of_its_own() -> None:
    assert status_of(fresh()).endpoint == status_of(settled(fresh())).endpoint


def test_ollama_pool_also_names_the_base_of_ollamas_own_routes() -> None:
    endpoint = status_of(settled(fresh(EngineName.OLLAMA))).endpoint

    assert endpoint is not None
    assert endpoint.ollama == "http://paddock-gateway.team.svc"


def test_same_facts_give_the_same_status_and_keep_transition_times() -> None:
    facts = settled(fresh())
    first = status_of(facts)
    pool = facts.pool.model_copy(update={"status": first})

    assert status_of(replace(facts, pool=pool, now=facts.now + timedelta(hours=1))) == first


def test_edited_pool_is_not_ready_before_the_deployment_follows() -> None:
    before = settled(fresh())
    after = replace(before, pool=at_generation(before.pool, 4, serving={"parallel": 2}))
    conditions = summary(status_of(after))

    assert conditions["Ready"] == "False/Loading"
    assert conditions["ModelVerified"] == "Unknown/NotChecked"


@pytest.mark.parametrize(
    ("counts", "reason", "message"),
    [
        (
            {"replicas": 2, "updated": 1, "ready": 1},
            "Loading",
            "The replicas are loading their models. The previous revision keeps serving.",
        ),
        (
            {"replicas": 2, "updated": 1, "ready": 2},
            "Progressing",
            "Replicas that are not wanted are ending.",
        ),
        (
            {"replicas": 1, "updated": 1, "ready": 1, "generation": 2},
            "Loading",
            "The replicas are loading their models. The previous revision keeps serving.",
        ),
    ],
)
def test_rollout_says_how_far_it_is(counts: dict[str, int], reason: str, message: str) -> None:
    facts = settled(fresh())
    assert facts.deployment is not None
    facts = replace(facts, deployment=replace(facts.deployment, **counts))  # type: ignore[arg-type]  # the table's own field names
    ready = status_of(facts).conditions[0]

    assert (ready.reason, ready.message) == (reason, message)


def test_edit_that_the_controller_has_not_seen_is_not_ready() -> None:
    facts = replace(settled(fresh()), deployment=deployment(1, generation=2))

    assert summary(status_of(facts))["EnginesReady"] == "False/Loading"


def test_old_replicas_with_old_bytes_are_no_wrong_model_during_a_rollout() -> None:
    facts = settled(fresh())
    rolling = replace(
        facts,
        models={"alpha": ready_model("alpha", OTHER_DIGEST)},
        deployment=deployment(2, updated=1, ready=1),
    )
    conditions = summary(status_of(rolling))

    assert conditions["ModelVerified"] == "Unknown/NotChecked"
    assert "Stalled" not in conditions


def test_bad_revision_leaves_the_old_one_serving_and_says_so() -> None:
    facts = settled(fresh())
    crashing = replace(
        ENGINE, restarts=3, waiting_reason="CrashLoopBackOff", last_exit_code=1, ready=False
    )
    rolling = replace(
        facts,
        pods=(ready_pod(0), waiting_pod(crashing, 1)),
        deployment=deployment(2, updated=1, ready=1, generation=2, observed_generation=2),
    )
    status = status_of(rolling)
    ready = status.conditions[0]

    assert (ready.status, ready.reason) == ("False", "CrashLoop")
    assert ready.message.startswith("Pod/chat-1: ")
    assert ready.message.endswith(" The previous revision keeps serving.")


def test_rollout_stuck_for_no_known_cause_is_told() -> None:
    facts = replace(
        settled(fresh()),
        pods=(ready_pod(0), waiting_pod(ENGINE, 1)),
        deployment=deployment(2, updated=1, ready=1, progressing_reason="ProgressDeadlineExceeded"),
    )
    status = status_of(facts)

    assert summary(status)["Stalled"] == "True/RolloutFailed"
    assert [cause.object for cause in status.diagnosis] == ["Deployment/chat"]


def test_pool_scaled_to_zero_is_ready() -> None:
    status = status_of(settled(fresh(replicas=0)))

    assert summary(status)["Ready"] == "True/Ready"
    assert summary(status)["ModelVerified"] == "True/ScaledToZero"
    assert status.conditions[0].message == "The pool is scaled to zero."


def test_missing_model_stalls_by_name() -> None:
    facts = replace(fresh(), models={})
    status = status_of(facts)

    assert summary(status)["Stalled"] == "True/ModelNotFound"
    assert [cause.object for cause in status.diagnosis] == ["LocalModel/alpha"]


def pulling(facts: PoolFacts, *, stalled: bool) -> PoolFacts:
    model = facts.models["alpha"]
    kind = "Stalled" if stalled else "Reconciling"
    told = Condition(
        type=kind, status="True", reason="SourceNotFound", message="There is no such file.",
        last_transition_time="2026-01-01T00:00:00Z", observed_generation=1,
    )  # fmt: skip
    status = model.status.model_copy(update={"conditions": (told,), "artifact": None})
    return replace(facts, models={"alpha": model.model_copy(update={"status": status})})


def test_pool_waits_for_a_model_that_is_being_pulled() -> None:
    status = status_of(pulling(fresh(), stalled=False))

    assert summary(status)["Reconciling"] == "True/WaitingForModel"
    assert status.diagnosis == ()


def test_pool_over_a_model_that_cannot_come_is_stalled_and_points_there() -> None:
    status = status_of(pulling(fresh(), stalled=True))

    assert summary(status)["Stalled"] == "True/ModelStalled"
    assert status.diagnosis[0].cause == ("The model cannot become Ready: There is no such file.")


def test_running_pool_keeps_its_children_while_its_model_is_pulled_anew() -> None:
    facts = pulling(settled(fresh()), stalled=False)
    plan = plan_pool(facts, SETTINGS)

    assert (plan.changes, plan.waiting) == ((), ("alpha",))
    assert summary(status_of(facts))["EnginesReady"] == "True/Ready"


def test_refused_field_stalls_with_its_path_and_leaves_what_serves() -> None:
    before = settled(fresh())
    facts = replace(before, pool=at_generation(before.pool, 4, serving={"keepAlive": "5m"}))
    status = status_of(facts)

    assert summary(status)["Stalled"] == "True/UnsupportedField"
    assert status.conditions[0].message.startswith("spec.serving.keepAlive: llama.cpp ")
    assert summary(status)["EnginesReady"] == "True/Ready"
    assert plan_pool(facts, SETTINGS).changes == ()


def test_refused_write_is_a_condition_and_a_diagnosis() -> None:
    facts = fresh()
    refusal = Refusal("Service/chat", Reason.FORBIDDEN, "The apiserver refuses it: no right")
    status = status_of_pool(facts, plan_pool(facts, SETTINGS), (refusal,))
    check_status(status, generation=3)

    assert summary(status)["Stalled"] == "True/Forbidden"
    assert [cause.object for cause in status.diagnosis] == ["Service/chat"]


def test_foreign_object_of_the_same_name_is_a_conflict() -> None:
    facts = settled(fresh())
    foreign: Manifest = {"kind": "Service", "metadata": {"name": "chat", "labels": {}}}
    manifests = {**facts.children.manifests, ("Service", "chat"): foreign}
    status = status_of(replace(facts, children=replace(facts.children, manifests=manifests)))

    assert summary(status)["Stalled"] == "True/NameConflict"


@pytest.mark.parametrize(
    ("loaded", "verdict"),
    [
        (
            LoadedModel("alpha", OTHER_DIGEST, error=f"alpha is served from {OTHER_DIGEST}."),
            "False/WrongModel",
        ),
        (
            LoadedModel("alpha", DIGEST, error="alpha did not generate a token: EOF."),
            "False/NoAnswer",
        ),
        (LoadedModel("alpha", error="The engine does not list alpha."), "False/NoAnswer"),
        (LoadedModel("another", DIGEST, loaded=True, generated=True), "Unknown/NotChecked"),
    ],
)
def test_what_an_engine_proves_decides_model_verified(loaded: LoadedModel, verdict: str) -> None:
    facts = settled(fresh())
    report = EngineReport("chat-0", answering=True, models=(loaded,))
    status = status_of(replace(facts, reports={"uid-pod-0": report}))

    assert summary(status)["ModelVerified"] == verdict
    assert summary(status)["Ready"].startswith("False")
    assert ("Stalled" in summary(status)) == verdict.startswith("False")


def test_engine_that_is_ready_but_silent_is_told() -> None:
    facts = settled(fresh())
    words = "The engine does not answer its API: the connection failed."
    report = EngineReport("chat-0", answering=False, error=words)
    status = status_of(replace(facts, reports={"uid-pod-0": report}))

    assert summary(status)["ModelVerified"] == "False/EngineNotReady"
    assert [cause.reason for cause in status.diagnosis] == ["EngineNotReady"]


def test_every_replica_must_prove_itself() -> None:
    facts = settled(fresh(replicas=2))
    status = status_of(replace(facts, reports={"uid-pod-0": facts.reports["uid-pod-0"]}))

    assert summary(status)["ModelVerified"] == "Unknown/NotChecked"


def test_estimate_that_does_not_fit_is_only_a_remark_once_the_engines_serve() -> None:
    tight = fresh(hardware={"memory": "1Gi"})

    assert summary(status_of(tight))["Stalled"] == "True/DoesNotFit"
    serving = summary(status_of(settled(tight)))
    assert (serving["Ready"], serving["Fits"]) == ("True/Ready", "False/DoesNotFit")


def test_pool_that_is_being_deleted_says_nothing_else() -> None:
    facts = settled(fresh())
    metadata = facts.pool.metadata.model_copy(update={"deletion_timestamp": "2026-01-01T00:00:00Z"})
    pool = facts.pool.model_copy(update={"metadata": metadata})

    assert summary(status_of(replace(facts, pool=pool))) == {
        "Ready": "False/Deleting",
        "Reconciling": "True/Deleting",
    }
