"""The rules by which contract and e2e tests judge what an apiserver shows can be broken."""

from collections.abc import Mapping
from typing import Any

import pytest

from paddock import names
from paddock.facts import ModelFacts
from paddock.plan.model import plan_model
from paddock.settings import Settings
from support.models import told
from support.objects import NOW, model
from support.rules import broken_between, broken_object
from support.status_watch import is_of_the_product

EARLIER, LATER = "2026-01-01T11:00:00Z", "2026-01-01T13:00:00Z"


def shown(generation: int = 1, **more: Any) -> dict[str, Any]:
    """Return a LocalModel whose status is of generation 1, as the apiserver shows it."""
    facts = ModelFacts(model=model(), now=NOW)
    status = told(facts, plan_model(facts, Settings()))
    return {
        "kind": names.LOCAL_MODEL,
        "metadata": {"generation": generation, **more},
        "status": status.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def changed(whole: Mapping[str, Any], **condition: Any) -> dict[str, Any]:
    """Return the object with its Ready condition changed."""
    status = whole["status"]
    conditions = [
        {**each, **condition} if each["type"] == "Ready" else each for each in status["conditions"]
    ]
    return {**whole, "status": {**status, "conditions": conditions}}


@pytest.mark.parametrize(
    "whole",
    [
        shown(),
        shown(2),
        shown(deletionTimestamp=LATER),
        {**shown(), "status": {"observedGeneration": -1}},
    ],
)
def test_status_of_the_operator_keeps_the_rules_at_any_time(whole: dict[str, Any]) -> None:
    assert list(broken_object(whole)) == []


@pytest.mark.parametrize(
    ("whole", "words"),
    [
        (changed(shown(), message="no sentence"), "does not end with one period"),
        (changed(shown(), status="True"), "Ready is True beside"),
        (changed(shown(), observedGeneration=7), "observed generation 7"),
        (shown(0), "observedGeneration is 1, and the object's 0"),
        ({**shown(), "status": {}}, "is believed: ('Current', 'Progressing')"),
    ],
)
def test_broken_status_is_told(whole: dict[str, Any], words: str) -> None:
    assert words in "\n".join(broken_object(whole))


def test_status_neither_forgets_what_it_saw_nor_moves_its_times() -> None:
    before = changed(shown(), lastTransitionTime=EARLIER)
    again = changed(shown(), lastTransitionTime=EARLIER, message="Other words.")
    assert list(broken_between(before, again)) == []
    moved = changed(shown(), lastTransitionTime=LATER)
    assert list(broken_between(before, moved)) == ["Ready stayed False and its time moved"]
    back = {**before, "status": {**before["status"], "observedGeneration": 0}}
    assert list(broken_between(before, back)) == ["observedGeneration went back from 1"]


@pytest.mark.parametrize(
    ("managers", "expected"), [([], True), (["paddock"], True), (["paddock", "unknown"], False)]
)
def test_status_that_a_test_wrote_is_not_the_products(
    managers: list[str], *, expected: bool
) -> None:
    fields = [{"manager": each, "subresource": "status"} for each in managers]
    spec = {"manager": "kubectl"}
    assert is_of_the_product({"metadata": {"managedFields": [spec, *fields]}}) is expected
