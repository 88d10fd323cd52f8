"""What a real apiserver lists of a namespace's events: warnings that no watched status repeats."""

from typing import Any

import pytest

from paddock.clock import SystemClock
from paddock.facts import EventFact
from paddock.kinds import EVENTS
from paddock.kube.real import RealCluster
from paddock.observe.warnings import Warnings

pytestmark = pytest.mark.contract


def event(namespace: str, kind: str, reason: str) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"tiny.{reason.lower()}", "namespace": namespace},
        "involvedObject": {"kind": "Pod", "name": "tiny", "namespace": namespace, "uid": "u"},
        "type": kind,
        "reason": reason,
        "message": "Words.",
    }


async def test_only_warnings_that_no_watch_shows_are_listed(
    cluster: RealCluster, namespace: str
) -> None:
    told = [("Warning", "FailedMount"), ("Warning", "FailedScheduling"), ("Normal", "Scheduled")]
    for kind, reason in told:
        await cluster.create(EVENTS, namespace, event(namespace, kind, reason))
    found = await Warnings(cluster, SystemClock()).about(namespace, ["u"])
    assert found == (EventFact("Pod/tiny", "FailedMount", "Words."),)
