"""Device claims at a real apiserver, with its claim controller and its scheduler: what they make
of our pods, and what they say that we read.
"""

import json
import time
from typing import Any

import pytest

from paddock.api.base import Diagnosis
from paddock.local.control_plane import ControlPlane
from paddock.observe.objects import event_fact, pod_fact
from paddock.plan.pool import plan_pool
from paddock.status.pod_diagnosis import diagnose_pod
from paddock.wire import Json
from support.plane import kubectl
from support.pools import SETTINGS, fresh

pytestmark = pytest.mark.contract
DEADLINE = 60.0
CLASS = "paddock-test.example.com"
NODE: Json = {
    "apiVersion": "v1", "kind": "Node", "metadata": {"name": "without-devices"},
    "status": {"allocatable": {"cpu": "4", "memory": "16Gi", "pods": "10"}},
}  # fmt: skip
DEVICES: list[Json] = [
    {
        "apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass", "metadata": {"name": CLASS},
        "spec": {"selectors": [{"cel": {"expression": 'device.driver == "none.example.com"'}}]},
    },
    {
        "apiVersion": "resource.k8s.io/v1", "kind": "ResourceClaimTemplate",
        "metadata": {"name": "card"},
        "spec": {"spec": {"devices": {"requests": [
            {"name": "gpu", "exactly": {"deviceClassName": CLASS}}
        ]}}},
    },
]  # fmt: skip


def test_claim_is_made_for_the_pod_and_missing_devices_are_told(
    control_plane: ControlPlane, namespace: str
) -> None:
    for each in (*DEVICES, NODE):
        apply(control_plane, namespace, each)
    try:
        apply(control_plane, namespace, pod_of("card"))
        told = until_told(control_plane, namespace)
    finally:
        kubectl(control_plane, "delete", "node", "without-devices")
        kubectl(control_plane, "delete", "deviceclass", CLASS)

    assert told.cause == "No node that the pool may use has the devices that its claim asks for."
    (claim,) = listed(control_plane, namespace, "resourceclaims")
    (pod,) = listed(control_plane, namespace, "pods")
    (owner,) = claim["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Pod", pod["metadata"]["uid"])


def test_template_that_is_not_there_is_named(control_plane: ControlPlane, namespace: str) -> None:
    apply(control_plane, namespace, pod_of("lost"))
    told = until_told(control_plane, namespace)
    assert told.object == "ResourceClaimTemplate/lost"


def pod_of(template: str) -> Json:
    """Return a pool's pod without its volumes, which are not there to be found."""
    hardware: Json = {"deviceClaim": template, "tolerations": [{"operator": "Exists"}]}
    plan = plan_pool(fresh(hardware=hardware), SETTINGS)
    (deployment,) = (each for each in plan.wanted if each["kind"] == "Deployment")
    whole: Any = deployment["spec"]
    spec = {key: value for key, value in whole["template"]["spec"].items() if key != "volumes"}
    containers = [{key: value for key, value in each.items() if key != "volumeMounts"}
                  for each in spec["containers"]]  # fmt: skip
    return {
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "chat"},
        "spec": {**spec, "containers": containers},
    }  # fmt: skip


def apply(plane: ControlPlane, namespace: str, manifest: Json) -> None:
    kubectl(plane, "-n", namespace, "create", "-f", "-", stdin=json.dumps(manifest))


def listed(plane: ControlPlane, namespace: str, kind: str) -> list[Any]:
    found: list[Any] = json.loads(kubectl(plane, "-n", namespace, "get", kind, "-o", "json"))[
        "items"
    ]
    return found


def until_told(plane: ControlPlane, namespace: str) -> Diagnosis:
    """Wait until the pod's own status, or an event about it, has a cause that we know."""
    deadline = time.monotonic() + DEADLINE
    while True:
        (pod,) = listed(plane, namespace, "pods")
        events = [event_fact(each) for each in listed(plane, namespace, "events")]
        told = diagnose_pod(pod_fact(pod), events)
        if told:
            return told[0]
        assert time.monotonic() < deadline, (pod["status"], events)
        time.sleep(0.2)
