"""The embedded node: it works as Kubernetes does, survives what happens, and leaves no trace."""

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddock.local.cluster import EmbeddedCluster
from paddock.local.folders import state_folder
from paddock.local.problems import LocalError
from paddock.local.processes import recorded_pid
from paddock.local.progress import Quiet
from paddock.wire import Json, Manifest
from support.machine import picture_of_machine
from support.small_image import SMALL_IMAGE, small_image_archive

pytestmark = pytest.mark.e2e

NAME = "lifecycle"
SERVE = "busybox id; echo hello > /data/index.html; exec busybox httpd -f -p 8080 -h /data"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCluster]:
    cluster = EmbeddedCluster(NAME, Quiet())
    cluster.down()
    try:
        cluster = EmbeddedCluster(NAME, Quiet())
        cluster.up()
        cluster.node.load_image(small_image_archive(tmp_path_factory.mktemp("image")))
        yield cluster
    finally:
        cluster.down()


def pod(name: str, script: str, *, claim: str | None = None, gpus: int = 0) -> Manifest:
    volume: dict[str, Json] = {"name": "data", "emptyDir": {}}
    if claim:
        volume = {"name": "data", "persistentVolumeClaim": {"claimName": claim}}
    container: dict[str, Json] = {
        "name": "main",
        "image": SMALL_IMAGE,
        "args": ["sh", "-c", script],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "data", "mountPath": "/data"}],
        "resources": {"limits": {"nvidia.com/gpu": gpus}} if gpus else {},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": {"app": name}},
        "spec": {
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsUser": 1000,
                "runAsGroup": 1000,
                "fsGroup": 2000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": [volume],
        },
    }


def claim_of(name: str, size: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}},
    }


def service_of(name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"selector": {"app": name}, "ports": [{"port": 80, "targetPort": 8080}]},
    }


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition did not come true"
        time.sleep(0.1)


def ready(cluster: EmbeddedCluster, name: str) -> None:
    try:
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
    except LocalError as error:
        raise AssertionError(cluster.kubectl("get", "pod", name, "-o", "yaml")) from error


def running(cluster: EmbeddedCluster) -> list[int]:
    records = cluster.folder.glob("*/*.pid")
    found = [recorded_pid(record.stem, record.parent) for record in records]
    return [pid for pid in found if pid is not None]


def fetch(cluster: EmbeddedCluster, client: str, host: str) -> str:
    """Ask a web server from inside a pod."""
    request = f"printf 'GET / HTTP/1.0\\r\\n\\r\\n' | busybox nc -w 3 {host} 80"
    return cluster.kubectl("exec", client, "--", "/bin/busybox", "sh", "-c", request)


def test_pod_writes_as_group_member_to_a_claim_of_any_size(node: EmbeddedCluster) -> None:
    node.apply([claim_of("big", "300Gi"), pod("writer", SERVE, claim="big")])
    ready(node, "writer")
    assert "uid=1000 gid=1000 groups=1000,2000" in node.kubectl("logs", "writer")
    listed = node.kubectl("exec", "writer", "--", "/bin/busybox", "ls", "-n", "/data/index.html")
    assert listed.split()[2:4] == ["1000", "2000"]


def test_deleted_claim_takes_its_folder_with_it(node: EmbeddedCluster) -> None:
    node.apply([claim_of("brief", "1Gi"), pod("brief", SERVE, claim="brief")])
    ready(node, "brief")
    volume = node.kubectl("get", "pvc", "brief", "-o", "jsonpath={.spec.volumeName}")
    folder = node.folder / "volumes" / volume
    assert (folder / "index.html").read_text() == "hello\n"
    node.kubectl("delete", "pod/brief", "pvc/brief", "--now")
    wait_until(lambda: not folder.exists())
    wait_until(lambda: volume not in node.kubectl("get", "pv", "-o", "name"))


def test_service_answers_by_name_from_pods_itself_and_the_host(node: EmbeddedCluster) -> None:
    node.apply([pod("web", SERVE), service_of("web"), pod("client", "exec busybox sleep 3600")])
    ready(node, "web")
    ready(node, "client")
    name = "web.default.svc.cluster.local"
    wait_until(lambda: _answers(node, "client", name))
    assert fetch(node, "web", name).endswith("hello\n"), "a pod reaches itself by its Service"
    address = node.kubectl("get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    with urllib.request.urlopen(f"http://{address}/", timeout=5) as answer:
        assert answer.read() == b"hello\n"


def _answers(cluster: EmbeddedCluster, client: str, host: str) -> bool:
    try:
        return fetch(cluster, client, host).endswith("hello\n")
    except LocalError:
        return False


def test_simulated_gpus_are_counted_by_the_scheduler(node: EmbeddedCluster) -> None:
    node.node.set_gpus(1)
    node.node.set_labels({"gpu-type": "h200"})
    node.apply([pod("first-gpu", "exec busybox sleep 3600", gpus=1)])
    ready(node, "first-gpu")
    node.apply([pod("second-gpu", "exec busybox sleep 3600", gpus=1)])
    reason = ("get", "pod", "second-gpu", "-o", "jsonpath={.status.conditions[0].message}")
    wait_until(lambda: "Insufficient nvidia.com/gpu" in node.kubectl(*reason))
    node.node.set_gpus(2)
    ready(node, "second-gpu")
    assert node.kubectl("get", "nodes", "-l", "gpu-type=h200", "-o", "name") == f"node/{NAME}\n"


def test_usage_of_the_node_is_measured(node: EmbeddedCluster) -> None:
    def told() -> bool:
        try:
            return NAME in node.kubectl("top", "node")
        except LocalError:
            return False

    wait_until(told, 90)


def test_second_up_starts_nothing_and_stops_nothing(node: EmbeddedCluster) -> None:
    before = picture_of_machine(NAME)
    EmbeddedCluster(NAME, Quiet()).up()
    assert picture_of_machine(NAME) == before
    assert recorded_pid("kube-proxy", node.folder / "node") is not None


def test_up_revives_a_cluster_whose_programs_were_all_killed(node: EmbeddedCluster) -> None:
    node.apply([claim_of("kept", "1Gi"), pod("survivor", SERVE, claim="kept")])
    ready(node, "survivor")
    for pid in running(node):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: running(node) == [])
    revived = EmbeddedCluster(NAME, Quiet())
    revived.up()
    revived.kubectl("wait", "--for=condition=Ready", f"node/{NAME}", "--timeout=60s")
    restarts = ("get", "pod", "survivor", "-o", "jsonpath={.status.containerStatuses[0]}")
    wait_until(lambda: '"restartCount":1' in revived.kubectl(*restarts))
    ready(revived, "survivor")


def test_two_clusters_live_side_by_side_and_one_ends_alone(node: EmbeddedCluster) -> None:
    neighbour = EmbeddedCluster("neighbour", Quiet())
    before = picture_of_machine("neighbour")
    try:
        neighbour.up()
        assert neighbour.addresses != node.addresses
        assert neighbour.kubectl("get", "nodes", "-o", "name") == "node/neighbour\n"
    finally:
        neighbour.down()
    assert picture_of_machine("neighbour") == before
    assert node.kubectl("get", "nodes", "-o", "name") == f"node/{NAME}\n"


@pytest.mark.parametrize(
    "milestone",
    ["index", "control-plane/etcd.pid", "node/anchor.pid", "node/containerd.pid", "applied"],
)
def test_down_ends_an_up_that_was_killed_half_way(milestone: str) -> None:
    before = picture_of_machine("halfway")
    program = "from paddock.local.cluster import EmbeddedCluster as C; C('halfway').up()"
    starting = subprocess.Popen([sys.executable, "-c", program])
    try:
        wait_until((state_folder("halfway") / milestone).exists)
    finally:
        starting.kill()
        starting.wait()
        EmbeddedCluster("halfway", Quiet()).down()
    assert picture_of_machine("halfway") == before


def test_down_leaves_nothing_of_a_busy_cluster(tmp_path: Path) -> None:
    before = picture_of_machine("busy")
    cluster = EmbeddedCluster("busy", Quiet())
    try:
        cluster.up()
        cluster.node.load_image(small_image_archive(tmp_path))
        cluster.apply([claim_of("data", "1Gi"), pod("web", SERVE, claim="data")])
        ready(cluster, "web")
        assert picture_of_machine("busy") != before
    finally:
        cluster.down()
    assert picture_of_machine("busy") == before
    cluster.down()  # again: nothing to do
