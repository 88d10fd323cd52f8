"""A gateway's pass: made once, settled, changed in place, kept where Envoy refuses."""

from dataclasses import replace

from paddock import names
from paddock.api.gateway import Gateway as DeclaredGateway
from paddock.api.inferencepool import InferencePool
from paddock.facts import Apply, Change, Delete, Done, EnvoyReport, GatewayFacts, Refusal, Wait
from paddock.plan.gateway.plan import GatewayPlan, plan_gateway, render_gateway
from paddock.raw import at, items, text
from paddock.status.gateway import state_of_gateway
from support.gateways import CPP, OLLAMA, SETTINGS, envoy_pod, gateway_facts, settled_gateway
from support.typed import as_typed, without_empty

TWO = CPP.model_copy(
    update={"spec": CPP.spec.model_copy(update={"gateway": DeclaredGateway(replicas=2)})}
)


def planned(facts: GatewayFacts) -> GatewayPlan:
    return plan_gateway(facts, render_gateway(facts, SETTINGS), SETTINGS)


def kinds_of(changes: tuple[Change, ...]) -> list[str]:
    return [str(each.manifest["kind"]) for each in changes if isinstance(each, Apply)]


def test_first_pool_makes_the_gateway_and_the_files_come_first() -> None:
    plan = planned(gateway_facts(CPP))

    assert kinds_of(plan.changes) == ["ConfigMap", "Service", "NetworkPolicy", "Deployment"]
    assert plan.outcome == Wait(SETTINGS.delays.gateway_poll)
    assert not plan.in_force


def test_every_pool_owns_the_gateway_and_none_controls_it() -> None:
    for manifest in planned(gateway_facts(CPP, OLLAMA)).wanted:
        owners = at(manifest, "metadata", "ownerReferences")
        assert isinstance(owners, list)
        assert [text(each, "name") for each in owners] == ["cpp", "oll"]
        assert not any(at(each, "controller") for each in owners)


def test_objects_hold_only_fields_that_kubernetes_knows() -> None:
    for manifest in planned(gateway_facts(TWO)).wanted:
        assert as_typed(manifest) == without_empty(manifest)


def test_port_that_drains_an_envoy_is_opened_to_nobody() -> None:
    wanted = {str(each["kind"]): each for each in planned(gateway_facts(CPP)).wanted}
    (envoy,) = items(wanted["Deployment"], "spec", "template", "spec", "containers")
    hook = at(envoy, "lifecycle", "preStop", "httpGet", "port")
    rules = items(wanted["NetworkPolicy"], "spec", "ingress")
    opened = {at(port, "port") for rule in rules for port in items(rule, "ports")}

    assert hook == names.GATEWAY_DRAIN_PORT
    assert opened == {names.GATEWAY_PORT, names.GATEWAY_STATUS_PORT}
    assert at(wanted["NetworkPolicy"], "spec", "policyTypes") == ["Ingress"]


def test_pool_that_asks_for_most_decides_how_many_envoys_there_are() -> None:
    plan = planned(settled_gateway(gateway_facts(OLLAMA, TWO)))
    (deployment,) = (each for each in plan.wanted if each["kind"] == "Deployment")

    assert at(deployment, "spec", "replicas") == 2
    assert plan.changes == ()
    assert [each["kind"] for each in plan.wanted].count("PodDisruptionBudget") == 1


def test_budget_of_disruption_goes_when_one_envoy_is_enough_again() -> None:
    plan = planned(replace(settled_gateway(gateway_facts(TWO)), pools=(CPP,)))
    deleted = [each for each in plan.changes if isinstance(each, Delete)]

    assert [each.kind.kind for each in deleted] == ["PodDisruptionBudget"]


def test_settled_gateway_changes_nothing_and_waits_for_nothing() -> None:
    serving = [with_status(pool, replicas=1, ready_replicas=1) for pool in (CPP, OLLAMA)]
    plan = planned(settled_gateway(gateway_facts(*serving)))

    assert (plan.changes, plan.outcome, plan.in_force) == ((), Done(), True)
    assert plan.routes == {("uid-cpp", "alpha"), ("uid-oll", "beta")}


def test_new_pool_changes_files_and_owners_but_restarts_no_envoy() -> None:
    before = settled_gateway(gateway_facts(CPP))
    plan = planned(replace(before, pools=(CPP, OLLAMA)))
    pods = [
        at(each, "spec", "template")
        for each in (*before.children.manifests.values(), *plan.wanted)
        if each["kind"] == "Deployment"
    ]

    assert pods[0] == pods[1]
    assert kinds_of(plan.changes)[0] == "ConfigMap"
    assert kinds_of(plan.changes)[-1] == "Pod"
    assert not plan.in_force


def test_pod_that_runs_older_files_is_touched_once_in_a_while_and_no_other() -> None:
    facts = settled_gateway(gateway_facts(CPP))
    behind = replace(facts, reports={"uid-envoy": EnvoyReport(frozenset({"old"}))})
    (nudge,) = planned(behind).changes

    assert isinstance(nudge, Apply)
    value = text(nudge.manifest, "metadata", "annotations", names.NUDGE_ANNOTATION)
    assert text(nudge.manifest, "metadata", "uid") == "uid-envoy"
    assert planned(replace(behind, nudges={"uid-envoy": str(value)})).changes == ()
    assert planned(behind).outcome == Wait(SETTINGS.delays.gateway_poll)


def test_change_that_is_taken_back_is_in_force_only_when_it_was_written() -> None:
    """Envoys may have said this version before the change, and still say so, or do no more."""
    model = CPP.spec.models[0].model_copy(update={"as_": "other"})
    other = CPP.model_copy(update={"spec": CPP.spec.model_copy(update={"models": (model,)})})
    facts = settled_gateway(gateway_facts(other))
    version = render_gateway(gateway_facts(CPP), SETTINGS).version
    reports = {"uid-envoy": replace(facts.reports["uid-envoy"], versions=frozenset({version}))}
    back = planned(replace(facts, pools=(CPP,), reports=reports, patient=False))

    assert kinds_of(back.changes)[0] == "ConfigMap"
    assert not back.in_force


def test_refused_configuration_is_not_written_and_the_last_good_one_stays() -> None:
    before = settled_gateway(gateway_facts(CPP))
    plan = planned(replace(before, pools=(CPP, OLLAMA), refusal="it does not like it"))

    assert {str(each["kind"]) for each in plan.wanted} == {"Service", "NetworkPolicy"}
    assert not {"ConfigMap", "Deployment"} & set(kinds_of(plan.changes))


def test_without_pools_nothing_is_done() -> None:
    leaving = CPP.model_copy(
        update={"metadata": CPP.metadata.model_copy(update={"deletion_timestamp": "now"})}
    )

    assert planned(gateway_facts(leaving)) == GatewayPlan()


def told(facts: GatewayFacts, *refusals: Refusal) -> tuple[bool, str, str]:
    state = state_of_gateway(facts, planned(facts), refusals, None)
    return state.ready, state.reason, state.message


def test_state_tells_what_keeps_the_gateway_from_serving() -> None:
    settled = settled_gateway(gateway_facts(CPP))

    assert told(settled) == (
        True,
        "Ready",
        "http://paddock-gateway.team.svc serves the pool's models.",
    )
    assert told(gateway_facts(CPP)) == (
        False,
        "Progressing",
        "The gateway does not serve the pool's models yet.",
    )
    homeless = replace(
        envoy_pod(ready=False), unschedulable_message="0/1 nodes are available: 1 Insufficient cpu."
    )
    assert told(replace(settled, pods=(homeless,)))[1] == "Unschedulable"
    assert told(replace(settled, refusal="'x' is bad.")) == (
        False,
        "GatewayConfigRefused",
        "Envoy refuses the gateway's new configuration, so the last good one serves: 'x' is bad.",
    )


def test_pools_that_were_served_stay_so_while_a_change_is_on_its_way() -> None:
    serving = with_status(CPP, replicas=1, ready_replicas=1)
    before = settled_gateway(gateway_facts(serving))
    state = state_of_gateway(before, planned(before), (), None)
    changed = replace(before, pools=(serving, OLLAMA))
    after = state_of_gateway(changed, planned(changed), (), state)

    assert (after.ready, after.routes) == (True, {("uid-cpp", "alpha")})


def with_status(pool: InferencePool, **status: int) -> InferencePool:
    return pool.model_copy(update={"status": pool.status.model_copy(update=status)})


def test_pool_without_pods_yet_is_not_served() -> None:
    """Else it would be Ready with its pods, before any Envoy has found them."""
    assert planned(settled_gateway(gateway_facts(CPP))).routes == set()


def test_pool_is_served_once_every_envoy_has_found_its_pods() -> None:
    loading = settled_gateway(gateway_facts(with_status(CPP, replicas=1, ready_replicas=0)))
    ready = replace(loading, pools=(with_status(CPP, replicas=1, ready_replicas=1),))
    found = settled_gateway(gateway_facts(*ready.pools))

    assert (planned(loading).routes, planned(loading).outcome) == (set(), Done())
    assert (planned(ready).routes, planned(ready).in_force) == (set(), True)
    assert planned(ready).outcome == Wait(SETTINGS.delays.gateway_poll)
    assert (planned(found).routes, planned(found).outcome) == ({("uid-cpp", "alpha")}, Done())
