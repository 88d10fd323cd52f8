"""What is applied of a Deployment that scales by demand, and when its scale is written."""

from dataclasses import replace

from paddock import names
from paddock.facts import Apply, Scale
from paddock.plan.pool import plan_pool
from paddock.settings import Settings
from paddock.wire import Json, Manifest
from support.pools import fresh, settled


def spec_of(manifest: Manifest) -> dict[str, Json]:
    spec = manifest["spec"]
    assert isinstance(spec, dict)
    return spec


def deployment_in(changes: object) -> Manifest:
    assert isinstance(changes, tuple)
    (found,) = [each.manifest for each in changes
                if isinstance(each, Apply) and each.manifest["kind"] == "Deployment"]  # fmt: skip
    return found


def test_new_deployment_is_made_with_the_least_replicas() -> None:
    plan = plan_pool(fresh(scaling={"min": 0}), Settings())
    assert spec_of(deployment_in(plan.changes))["replicas"] == 0
    assert plan.replicas == 0


def test_scaling_without_a_least_keeps_one() -> None:
    assert plan_pool(fresh(scaling={}), Settings()).replicas == 1


def test_replicas_are_handed_over_before_they_are_left_out() -> None:
    facts = settled(fresh(replicas=3))
    scaled = fresh(scaling={"min": 0})
    plan = plan_pool(replace(scaled, children=facts.children, deployment=facts.deployment),
                     Settings())  # fmt: skip
    first, *rest = plan.changes
    assert first == Scale("team", "chat", 3, "7")
    assert "replicas" not in spec_of(deployment_in(tuple(rest)))


def test_foreign_deployment_is_not_scaled() -> None:
    facts = settled(fresh(replicas=3))
    own = facts.children.manifests["Deployment", "chat"]
    metadata = own["metadata"]
    assert isinstance(metadata, dict)
    labels = {names.MANAGED_BY_LABEL: "somebody"}
    foreign = {**own, "metadata": {**metadata, "labels": labels}}
    children = replace(facts.children, manifests={("Deployment", "chat"): foreign})
    plan = plan_pool(replace(fresh(scaling={"min": 5}), children=children), Settings())
    assert [each for each in plan.changes if isinstance(each, Scale)] == []
    assert len(plan.conflicts) == 1
