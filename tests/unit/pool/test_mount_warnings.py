"""Which warnings about a volume are a cause to tell, and which pass by themselves."""

from paddock.api.reasons import Reason
from paddock.facts import EventFact, PodFact
from paddock.status.pod_diagnosis import diagnose_pod

WAITING = PodFact(name="a", uid="u", phase="Pending")
FORBIDDEN = (
    "Unable to attach or mount volumes: unmounted volumes=[store], unattached volumes=[], failed "
    "to process volumes=[store]: error processing PVC team/a-weights: failed to fetch PVC from API "
    'server: persistentvolumeclaims "a-weights" is forbidden: User "system:node:e2e" cannot get '
    'resource "persistentvolumeclaims" in API group "" in the namespace "team": no relationship '
    "found between node 'e2e' and this object"
)


def mounting(message: str) -> list[Reason]:
    return [
        each.reason for each in diagnose_pod(WAITING, (EventFact("Pod/a", "FailedMount", message),))
    ]


def test_node_that_may_not_see_the_claim_yet_is_no_cause() -> None:
    assert mounting(FORBIDDEN) == []


def test_volume_that_cannot_be_mounted_is_one() -> None:
    assert mounting("mount.nfs: Connection timed out") == [Reason.CLAIM_UNREACHABLE]
