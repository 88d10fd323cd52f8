"""States that pass by themselves: told with what follows, or when they stay."""

from dataclasses import replace

import pytest

from paddock.api.inferencepool import InferencePoolStatus
from paddock.facts import DeploymentFact, PodFact
from paddock.status.passing import told_status
from support.pools import deployment, fresh, homeless_pod, ready_pod, settled, status_of

PATIENCE = 5.0
GOOD = settled(fresh())
POD = ready_pod()
PLACED = replace(POD, phase="Pending", ready=False, containers=())


def at(found: DeploymentFact, *pods: PodFact) -> InferencePoolStatus:
    """Return the status while no engine has answered."""
    return status_of(replace(GOOD, deployment=found, pods=pods, reports={}))


NOTHING = at(deployment(0))
COUNTED = at(deployment(1, ready=0, available=0), replace(PLACED, node=None, scheduled=False))
SCHEDULED = at(deployment(1, ready=0, available=0), PLACED)
ASKED = at(deployment(1), POD)
VERIFIED = status_of(GOOD)
FULL = "0/3 nodes are available: 3 Too many pods."
HOMELESS = at(deployment(1, ready=0, available=0), homeless_pod(FULL))


def told(
    before: InferencePoolStatus, after: InferencePoolStatus, since: float | None = None
) -> tuple[InferencePoolStatus, float | None]:
    return told_status(before, after, since=since, now=100.0, patience=PATIENCE)


@pytest.mark.parametrize(
    ("before", "after"),
    [(NOTHING, COUNTED), (SCHEDULED, ASKED), (VERIFIED, ASKED)],
    ids=["a number of pods", "engines are asked", "engines are asked by a new operator"],
)
def test_state_that_passes_is_told_only_when_it_stays(
    before: InferencePoolStatus, after: InferencePoolStatus
) -> None:
    assert told(before, after) == (before, 100.0)
    assert told(before, after, since=95.1) == (before, 95.1)
    assert told(before, after, since=95.0) == (after, None)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (InferencePoolStatus(), NOTHING),
        (NOTHING, SCHEDULED),
        (SCHEDULED, VERIFIED),
        (ASKED, VERIFIED),
        (NOTHING, HOMELESS),
        (HOMELESS, COUNTED),
        (VERIFIED, SCHEDULED),
        (ASKED, ASKED),
    ],
)
def test_everything_else_is_told_at_once(
    before: InferencePoolStatus, after: InferencePoolStatus
) -> None:
    assert told(before, after) == (after, None)
    assert told(before, after, since=99.0) == (after, None)


def test_what_was_said_of_another_spec_does_not_stand() -> None:
    other = VERIFIED.model_copy(update={"observed_generation": 0})

    assert told(other, ASKED) == (ASKED, None)


def test_replicas_are_placed_only_when_they_are_counted() -> None:
    """Their number would be one write more, after that of their nodes."""
    assert at(deployment(0), PLACED) == NOTHING
