"""What passes tell of objects: pulls in flight, and the time to the first Ready."""

from datetime import datetime, timedelta

import pytest

from paddock.api.base import Condition, ObjectMeta
from paddock.api.localmodel import Progress
from paddock.clock import rfc3339
from paddock.facts import Key
from paddock.kinds import LOCAL_MODELS
from paddock.telemetry import catalog
from paddock.telemetry.objects import ObjectMeasures
from paddock.telemetry.registry import Registry
from support.objects import NOW

CREATED = NOW - timedelta(seconds=90)
KEY = Key("localmodels", "team", "tiny")


@pytest.fixture
def registry() -> Registry:
    return Registry(catalog.OPERATOR)


def ready(status: str, since: datetime) -> tuple[Condition, ...]:
    return (
        Condition.model_validate(
            {
                "type": "Ready", "status": status, "reason": "Ready", "message": "m",
                "lastTransitionTime": rfc3339(since), "observedGeneration": 1,
            }
        ),
    )  # fmt: skip


def times_to_ready(
    registry: Registry, before: tuple[Condition, ...], after: tuple[Condition, ...]
) -> dict[tuple[str, ...], float]:
    metadata = ObjectMeta(
        name="tiny", namespace="team", uid="u", creation_timestamp=rfc3339(CREATED)
    )
    ObjectMeasures(registry).note_conditions(
        LOCAL_MODELS, metadata, before=before, after=after, now=NOW
    )
    found = registry.collect_one(catalog.READY_DURATION).distributions
    return {labels: each.total for labels, each in found.items()}


def test_first_ready_is_timed_from_creation(registry: Registry) -> None:
    waiting = ready("False", CREATED + timedelta(seconds=1))
    assert times_to_ready(registry, waiting, ready("True", NOW)) == {("localmodels",): 90}


def test_ready_in_the_first_pass_is_timed_too(registry: Registry) -> None:
    assert times_to_ready(registry, (), ready("True", NOW)) == {("localmodels",): 90}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ready("True", CREATED), ready("True", CREATED)),
        (ready("False", CREATED + timedelta(hours=1)), ready("True", NOW)),
        (ready("False", CREATED), ready("False", CREATED)),
        (ready("False", CREATED), ()),
    ],
)
def test_an_object_that_was_ready_before_or_is_not_now_is_not_timed(
    registry: Registry, before: tuple[Condition, ...], after: tuple[Condition, ...]
) -> None:
    assert times_to_ready(registry, before, after) == {}


def test_pulls_are_there_while_they_are_in_flight(registry: Registry) -> None:
    measures = ObjectMeasures(registry)
    measures.note_progress(KEY, Progress(bytes=10))
    measures.note_progress(KEY, Progress(bytes=20, total_bytes=50))
    assert registry.collect_one(catalog.PULL_PROGRESS).numbers == {("team", "tiny"): 20}
    assert registry.collect_one(catalog.PULL_SIZE).numbers == {("team", "tiny"): 50}
    measures.note_progress(KEY, None)
    assert registry.collect_one(catalog.PULL_PROGRESS).numbers == {}
    assert registry.collect_one(catalog.PULL_SIZE).numbers == {}
