"""Wanted against live: what is applied, what is deleted, what is never touched."""

from typing import Any

import pytest

from paddock import kinds, names
from paddock.api.reasons import Reason
from paddock.facts import Apply, Children, Delete
from paddock.plan.changes import ChangePlan, is_leftover, plan_changes, stamped

OURS = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.OWNER_UID_LABEL: "u1"}


def config_map(name: str = "c", labels: dict[str, str] | None = None, **fields: Any) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": "team", "labels": OURS | (labels or {})},
        "data": {"a": "1"},
        **fields,
    }


def claim(**labels: str) -> Any:
    whole = {names.MANAGED_BY_LABEL: names.MANAGED_BY, names.MODEL_LABEL: "m", **labels}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "m-weights", "namespace": "team", "labels": whole},
    }


def live(manifest: Any, **metadata: Any) -> Any:
    whole = stamped(manifest)
    server = {"uid": "server-uid", "resourceVersion": "5", "generation": 1}
    return {**whole, "metadata": {**whole["metadata"], **server, **metadata}}  # type: ignore[dict-item]  # metadata is a mapping


def children(*manifests: Any) -> Children:
    return Children({(each["kind"], each["metadata"]["name"]): each for each in manifests})


def test_absent_object_is_applied_with_its_stamp() -> None:
    assert plan_changes([config_map()], Children()) == ChangePlan((Apply(stamped(config_map())),))


def test_settled_object_is_left_alone() -> None:
    assert plan_changes([config_map()], children(live(config_map()))) == ChangePlan()


def test_field_that_we_no_longer_want_is_noticed_by_the_stamp() -> None:
    before = config_map(data={"a": "1", "b": "2"})
    assert plan_changes([config_map()], children(live(before))).changes == (
        Apply(stamped(config_map())),
    )


def test_object_on_its_way_out_is_left_alone() -> None:
    ending = live(config_map(data={}), deletionTimestamp="2026-11-21T12:00:00Z")
    assert plan_changes([config_map()], children(ending), prune=["ConfigMap"]) == ChangePlan()


@pytest.mark.parametrize(
    "labels",
    [
        {names.MANAGED_BY_LABEL: "helm"},
        {names.OWNER_UID_LABEL: "u2"},
        {names.MANAGED_BY_LABEL: None},
        {names.OWNER_UID_LABEL: None},
    ],
)
def test_object_that_is_not_ours_is_never_adopted(labels: dict[str, Any]) -> None:
    stranger = live(config_map(labels=labels))
    plan = plan_changes([config_map()], children(stranger), prune=["ConfigMap"])
    assert plan.changes == ()
    assert [(each.object, each.reason) for each in plan.refusals] == [
        ("ConfigMap/c", Reason.NAME_CONFLICT)
    ]


def reference(uid: str, **fields: str) -> dict[str, str]:
    return {"apiVersion": "v1", "kind": "Toy", "name": "t", "uid": uid, **fields}


@pytest.mark.parametrize(
    ("owners", "labels", "expected"),
    [
        ([reference("u1")], {}, True),
        ([reference("u2")], {}, False),
        ([reference("u1", name="other")], {}, False),
        ([reference("u1", kind="Other")], {}, False),
        ([reference("u1")], {names.MANAGED_BY_LABEL: "somebody"}, False),
        ([], {}, False),
    ],
    ids=["before us", "ours", "another name", "another kind", "not of our making", "orphaned"],
)
def test_child_of_a_deleted_owner_of_our_name_is_left_over(
    owners: list[dict[str, str]], labels: dict[str, str], *, expected: bool
) -> None:
    child = live(config_map(labels=labels), ownerReferences=owners)
    wanted = live(config_map(), ownerReferences=[reference("u2")])
    assert is_leftover(wanted, child) is expected


def test_kept_claim_of_the_same_model_is_found_again() -> None:
    ours, kept = claim(**{names.OWNER_UID_LABEL: "u1"}), claim()
    assert plan_changes([kept], children(live(ours))).changes == (Apply(stamped(kept)),)
    assert plan_changes([ours], children(live(kept))).changes == (Apply(stamped(ours)),)


def test_claim_of_another_model_is_refused() -> None:
    plan = plan_changes([claim()], children(live(claim(**{names.MODEL_LABEL: "other"}))))
    assert plan.changes == ()
    assert plan.refusals[0].reason == Reason.NAME_CONFLICT


def test_child_that_is_no_longer_wanted_is_deleted_with_its_uid() -> None:
    extra = live(config_map("old"))
    plan = plan_changes([config_map()], children(live(config_map()), extra), prune=["ConfigMap"])
    assert plan.changes == (Delete(kinds.CONFIG_MAPS, "team", "old", "server-uid", "5"),)


@pytest.mark.parametrize(
    "labels", [{names.OWNER_UID_LABEL: "u2"}, {names.MANAGED_BY_LABEL: "helm"}]
)
def test_only_children_of_the_same_owner_are_deleted(labels: dict[str, str]) -> None:
    extra = live(config_map("old", labels))
    plan = plan_changes([config_map()], children(live(config_map()), extra), prune=["ConfigMap"])
    assert plan == ChangePlan()


def test_kinds_that_may_not_be_pruned_stay() -> None:
    extra = live(config_map("old"))
    assert plan_changes([config_map()], children(live(config_map()), extra)) == ChangePlan()


def test_stamp_depends_on_the_content_and_not_on_the_order_of_keys() -> None:
    manifest = config_map(data={"a": "1", "b": "2"})
    turned = dict(reversed(list(config_map(data={"b": "2", "a": "1"}).items())))
    assert stamped(manifest) == stamped(turned)
    assert stamped(manifest) != stamped(config_map(data={"a": "1", "b": "3"}))
