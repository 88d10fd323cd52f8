"""Every fault a user can meet is told by the status within 10 s, without opening a log.

The faults are made in a few rounds on one node, each in an object of its own; the tests then look
at what was told of theirs, and when. The seconds count from the moment the fault was applied.
"""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from paddock.local.cluster import EmbeddedCluster
from paddock.local.processes import recorded_pid, run
from support import empty_registry
from support.announce import Announce
from support.tiny_model import write_tiny_model
from support.web_server import Site, serving
from support.world import Manifest, World, inference_pool, local_model

pytestmark = pytest.mark.e2e

LIMIT = 10.0
_GIVEN_UP = 30.0
SHARED = {"claimName": "tiny-weights"}
_ABSENT_REGISTRY = "127.0.0.1:18998"
"""Nobody listens there; how soon a name that does not exist is known is up to the machine's DNS."""
_NODE_REGISTRY = "127.0.0.1:18999"
_TAKEN_GPU = "example.com/absent-gpu"


@dataclass(frozen=True)
class Fault:
    """One fault, what makes it, and what must be said of it."""

    name: str
    make: Callable[["Stage", str], Sequence[Manifest]]
    reason: str
    object: str
    """A pattern for the object that the diagnosis names."""
    cause: str
    """A pattern for the cause."""
    condition: str
    """The condition beside Ready that must have the reason."""
    kind: str = "inferencepools"
    stalls: bool = True


@dataclass(frozen=True)
class Told:
    """What a status said of a fault, and how long that took."""

    seconds: float
    status: Mapping[str, Any]


@dataclass(frozen=True)
class Stage:
    """Where the faults are made."""

    world: World
    site: Site
    closed_port: str


def pool(**spec: Any) -> Callable[[Stage, str], Sequence[Manifest]]:
    return lambda _, name: [inference_pool(name, "LlamaCpp", "tiny", **spec)]


def model(path: str, **spec: Any) -> Callable[[Stage, str], Sequence[Manifest]]:
    storage = {} if "storage" in spec else {"storage": SHARED}
    return lambda stage, name: [local_model(name, f"{stage.site.url}{path}", **spec, **storage)]


def elsewhere(source: str) -> Callable[[Stage, str], Sequence[Manifest]]:
    return lambda stage, name: [
        local_model(name, source.format(closed=stage.closed_port), storage=SHARED)
    ]


def pulled_fault(name: str, make: Any, reason: str, cause: str, **more: Any) -> Fault:
    about: dict[str, Any] = {"object": f"LocalModel/{name}", "condition": "Pulled", **more}
    return Fault(name, make, reason, cause=cause, kind="localmodels", **about)


PODS = [
    Fault("no-node", pool(hardware={"nodeSelector": {"example.com/zone": "nowhere"}}),
          "Unschedulable", "Pod/no-node-.*", "No node has the labels", "Scheduled"),
    Fault("no-gpu", pool(hardware={"gpus": 1, "resourceName": _TAKEN_GPU}),
          "InsufficientGPU", "Pod/no-gpu-.*", f"enough free {_TAKEN_GPU}", "Scheduled"),
    Fault("no-registry", pool(departs={"image": f"{_ABSENT_REGISTRY}/paddock/engine:1"}),
          "ImagePullFailed", "Pod/no-registry-.*", "the registry is not reachable",
          "EnginesReady"),
    Fault("no-image", pool(departs={"image": f"{_NODE_REGISTRY}/paddock/absent:1"}),
          "ImagePullFailed", "Pod/no-image-.*", "does not exist in its registry",
          "EnginesReady"),
    Fault("no-memory", pool(hardware={"memory": "64Mi"}, serving={"contextLength": 1 << 20}),
          "OutOfMemory", "Pod/no-memory-.*", "needed more than 64Mi", "EnginesReady"),
    Fault("bad-flag", pool(departs={"args": ["--rope-scaling", "sideways"]}),
          "CrashLoop", "Pod/bad-flag-.*", "ends again and again: .*rope-scaling",
          "EnginesReady"),
]  # fmt: skip
SOURCES = [
    pulled_fault("unauthorised", model("/locked.gguf"), "SourceUnauthorized", r"\(401\)"),
    pulled_fault("not-found", model("/absent.gguf"), "SourceNotFound", r"\(404\)"),
    pulled_fault("wrong-digest", model("/tiny.gguf", digest=f"sha256:{'0' * 64}"),
                 "DigestMismatch", "was expected", condition="Verified"),
    pulled_fault("refused", elsewhere("https://169.254.169.254/tiny.gguf"),
                 "SourceForbidden", "not a public address"),
]  # fmt: skip
MORE_SOURCES = [
    pulled_fault("closed", elsewhere("{closed}/tiny.gguf"), "SourceUnreachable",
                 "does not accept connections", stalls=False),
    pulled_fault("failing", model("/failing.gguf"), "SourceUnreachable", "answers 503",
                 stalls=False),
    pulled_fault("no-model", model("/page.gguf"), "UnsupportedFormat",
                 "neither GGUF nor safetensors"),
    pulled_fault("no-secret", model("/tiny.gguf", credentials={"secretName": "absent"}),
                 "CredentialsMissing", "does not exist", object="Secret/absent"),
]  # fmt: skip
STORAGE = [
    pulled_fault("no-space", model("/tiny.gguf", storage={"claimName": "small"}),
                 "InsufficientStorage", "bytes free and the file needs"),
    pulled_fault("no-class",
                 model("/tiny.gguf", storage={"size": "1Gi", "storageClassName": "absent"}),
                 "ClaimUnbound", "not bound", object="Pod/no-class-.*"),
    pulled_fault("no-claim", model("/tiny.gguf", storage={"claimName": "absent"}),
                 "ClaimNotFound", "does not exist", object="PersistentVolumeClaim/absent"),
]  # fmt: skip
QUOTAS = [
    Fault("quota", pool(), "QuotaExceeded", "Deployment/quota", "exceeded quota", "EnginesReady"),
    pulled_fault("model-quota", model("/tiny.gguf"), "QuotaExceeded", "exceeded quota",
                 object="Job/model-quota-.*"),
]  # fmt: skip
FAULTS = [*PODS, *SOURCES, *MORE_SOURCES, *STORAGE, *QUOTAS]


@pytest.fixture(scope="module")
def told(
    cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Told]]:
    """Make every fault and note when each was told."""
    found: dict[str, Told] = {}
    with staged(cluster, tmp_path_factory.mktemp("faults")) as stage:
        for wave in (PODS, SOURCES, MORE_SOURCES, STORAGE):
            found |= observed(stage, wave)
            cleared(stage, wave)
        stage.world.apply(quota("none"))
        found |= observed(stage, QUOTAS)
        yield found


@contextmanager
def staged(cluster: EmbeddedCluster, folder: Path) -> Iterator[Stage]:
    """Give a namespace with a Ready model, a site that refuses, and a claim that is full."""
    refusals = {"/locked.gguf": 401, "/failing.gguf": 503}
    site = Site(
        files={
            "/tiny.gguf": write_tiny_model(folder / "tiny.gguf").read_bytes(),
            "/page.gguf": b"<html>no weights here</html>",
        },
        answers=lambda path, _range, _count: refusals.get(path),
    )
    namespace = f"faults-{int(time.time())}"
    cluster.kubectl("create", "namespace", namespace)
    world = World(cluster, namespace)
    with ExitStack() as stack:
        stack.callback(cluster.kubectl, "delete", "namespace", namespace, "--wait=false")
        closed = stack.enter_context(_closed_port(cluster.addresses.host))
        stack.enter_context(serving(site, cluster.addresses.host))
        stack.enter_context(_empty_registry(cluster))
        world.apply(_small_claim(cluster, namespace))
        world.apply(local_model("tiny", f"{site.url}/tiny.gguf", storage={"size": "1Gi"}))
        world.until_ready("localmodel", "tiny")
        yield Stage(world, site, closed)


@contextmanager
def _closed_port(address: str) -> Iterator[str]:
    """Give an address that answered once and does no more."""
    with serving(Site(), address) as site:
        pass
    yield site.url


@contextmanager
def _empty_registry(cluster: EmbeddedCluster) -> Iterator[None]:
    """Run a registry that knows nothing where the node's containerd asks without TLS."""
    host, _, port = _NODE_REGISTRY.partition(":")
    inside = ["nsenter", f"--net=/run/netns/{cluster.network.namespace}"]
    process = subprocess.Popen([*inside, sys.executable, empty_registry.__file__, host, port])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def _small_claim(cluster: EmbeddedCluster, namespace: str) -> Manifest:
    """Give a claim whose volume holds 256 KiB, less than the model: a real small file system."""
    folder = cluster.folder / "small" / namespace
    folder.mkdir(parents=True)
    kubelet = recorded_pid("kubelet", cluster.folder / "node")
    options = "size=256k,mode=0777"
    run(["nsenter", "-t", str(kubelet), "-m", "mount", "-t", "tmpfs", "-o", options, "tmpfs",
         str(folder)])  # fmt: skip
    spec: dict[str, Any] = {"accessModes": ["ReadWriteOnce"], "storageClassName": ""}
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [cluster.name]}
    volume: Manifest = {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": namespace},
        "spec": {
            **spec,
            "capacity": {"storage": "256Ki"},
            "persistentVolumeReclaimPolicy": "Retain",
            "local": {"path": str(folder)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }
    claim = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "small"},
        "spec": {
            **spec,
            "volumeName": namespace,
            "resources": {"requests": {"storage": "256Ki"}},
        },
    }
    cluster.apply([volume])
    return claim


def quota(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": name},
        "spec": {"hard": {"pods": "0"}},
    }


def observed(stage: Stage, wave: Sequence[Fault]) -> dict[str, Told]:
    """Make the faults of a round at once and note when each is told."""
    start = time.monotonic()
    stage.world.apply(*[each for fault in wave for each in fault.make(stage, fault.name)])
    found: dict[str, Told] = {}
    while len(found) < len(wave) and time.monotonic() < start + _GIVEN_UP:
        for fault in wave:
            if fault.name not in found and is_told(fault, status := status_of(stage, fault)):
                found[fault.name] = Told(time.monotonic() - start, status)
        time.sleep(0.1)
    missing = [fault for fault in wave if fault.name not in found]
    return found | {fault.name: Told(_GIVEN_UP, status_of(stage, fault)) for fault in missing}


def status_of(stage: Stage, fault: Fault) -> Mapping[str, Any]:
    path = f"/apis/paddock.dev/v1alpha1/namespaces/{stage.world.namespace}/{fault.kind}"
    found = stage.world.cluster.plane.client().request("GET", f"{path}/{fault.name}")
    status = found.get("status")
    return status if isinstance(status, dict) else {}


def is_told(fault: Fault, status: Mapping[str, Any]) -> bool:
    ready = conditions_of(status).get("Ready", {})
    return ready.get("reason") == fault.reason


def conditions_of(status: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {each["type"]: each for each in status.get("conditions", ())}


def cleared(stage: Stage, wave: Sequence[Fault]) -> None:
    """Remove the round's objects, so that what they tried in vain does not slow the next."""
    names = [f"{fault.kind}/{fault.name}" for fault in wave]
    stage.world.cluster.kubectl("-n", stage.world.namespace, "delete", *names, "--wait=false")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault_is_told_with_its_object_cause_and_fix_in_ten_seconds(
    told: Mapping[str, Told], fault: Fault, announce: Announce
) -> None:
    announce(f"{fault.name} is told as {fault.reason} in {told[fault.name].seconds:.1f} s")
    status, conditions = told[fault.name].status, conditions_of(told[fault.name].status)
    told_as = conditions["Ready"]["status"], conditions["Ready"]["reason"]
    assert told_as == ("False", fault.reason), status
    first = status["diagnosis"][0]
    assert re.fullmatch(fault.object, first["object"]), first
    assert re.search(fault.cause, first["cause"]), first
    assert first["fix"].endswith(".")
    assert first["reason"] == fault.reason
    beside = conditions[fault.condition]
    assert (beside["status"], beside["reason"]) == ("False", fault.reason)
    kind = "Stalled" if fault.stalls else "Reconciling"
    assert conditions[kind]["status"] == "True"
    assert told[fault.name].seconds <= LIMIT
