"""Rollouts as users feel them: no request fails and no declared replica is missed.

Whatever the new revision is: good, bad, without a GPU, or with an operator that is killed on the
way.
"""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock import names
from paddock.local.cluster import EmbeddedCluster
from paddock.local.control_groups import control_group
from support.announce import Announce
from support.tiny_model import write_tiny_model
from support.traffic import Seen, watched
from support.web_server import Site, serving
from support.world import World, inference_pool, leading_pod, local_model

pytestmark = pytest.mark.e2e

SMALL = {"memory": "768Mi", "cpu": "50m"}
NAMESPACE = "paddock-system"


def pool_of_two(**spec: Any) -> dict[str, Any]:
    return inference_pool("cpp", "LlamaCpp", "tiny", replicas=2, **{"hardware": SMALL, **spec})


def serve_two(world: World, source: str, **spec: Any) -> None:
    world.apply(local_model("tiny", source, storage={"size": "1Gi"}), pool_of_two(**spec))
    world.until_ready("inferencepool", "cpp")


def check_seen(seen: Seen, announce: Announce, what: str) -> None:
    line = f"{what}: {seen.answered} answered, {len(seen.failed)} failed, fewest {seen.fewest}"
    announce(line)
    assert seen.failed == []
    assert seen.fewest == 2


def test_change_of_knobs_loses_no_request_and_no_ready_replica_with_a_spare_gpu(
    world: World, source: str, cluster: EmbeddedCluster, announce: Announce
) -> None:
    cluster.node.set_gpus(3, "example.com/spare-gpu")
    hardware = {**SMALL, "gpus": 1, "resourceName": "example.com/spare-gpu"}
    serve_two(world, source, hardware=hardware)
    with watched(world, "cpp", "tiny") as seen:
        world.apply(pool_of_two(hardware=hardware, serving={"parallel": 2}))
        world.until_ready("inferencepool", "cpp")
    check_seen(seen, announce, "change of knobs with a spare GPU")


def test_change_without_a_spare_gpu_is_told_and_the_old_revision_serves(
    world: World, source: str, cluster: EmbeddedCluster, announce: Announce
) -> None:
    cluster.node.set_gpus(2, "example.com/full-gpu")
    hardware = {**SMALL, "gpus": 1, "resourceName": "example.com/full-gpu"}
    serve_two(world, source, hardware=hardware)
    with watched(world, "cpp", "tiny") as seen:
        world.apply(pool_of_two(hardware=hardware, serving={"parallel": 2}))
        message = world.until_reason("inferencepool", "cpp", "InsufficientGPU")
        assert message.endswith("The previous revision keeps serving.")
        assert world.condition("inferencepool", "cpp", "Scheduled")[1] == "InsufficientGPU"
        world.apply(pool_of_two(hardware=hardware))
        world.until_ready("inferencepool", "cpp")
    check_seen(seen, announce, "change without a spare GPU, and back")


BAD: dict[str, dict[str, Any]] = {
    "CrashLoop": {"departs": {"args": ["--rope-scaling", "sideways"]}},
    "ImagePullFailed": {"departs": {"image": "registry.invalid/paddock/engine:1"}},
    "OutOfMemory": {"serving": {"contextLength": 1 << 22}},
}


def test_bad_revisions_one_after_another_leave_the_old_one_serving_and_going_back_recovers(
    world: World, source: str, announce: Announce
) -> None:
    serve_two(world, source)
    with watched(world, "cpp", "tiny") as seen:
        for reason, change in BAD.items():
            world.apply(pool_of_two(**change))
            message = world.until_reason("inferencepool", "cpp", reason)
            assert message.endswith("The previous revision keeps serving."), reason
            assert world.condition("inferencepool", "cpp", "Stalled")[1] == reason
        fits = world.condition("inferencepool", "cpp", "Fits")
        assert fits[:2] == ("False", "DoesNotFit")
        world.apply(pool_of_two())
        world.until_ready("inferencepool", "cpp")
    check_seen(seen, announce, "three bad revisions, and back")


def operator_processes(cluster: EmbeddedCluster) -> list[int]:
    """Return the operators that run in the cluster, told by its control group."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            group = (process / "cgroup").read_text()
        except OSError:
            continue
        if b"operator" in words and f"/{control_group(cluster.name)}/" in group:
            found.append(int(process.name))
    return found


def kill_operators(cluster: EmbeddedCluster) -> None:
    killed = operator_processes(cluster)
    assert killed
    for pid in killed:
        os.kill(pid, signal.SIGKILL)


@pytest.fixture
def two_operators(cluster: EmbeddedCluster) -> Iterator[None]:
    """Run a second operator beside the first."""
    scale = ("-n", NAMESPACE, "scale", "deployment/paddock-operator")
    ready = ("-n", NAMESPACE, "rollout", "status", "deployment/paddock-operator", "--timeout=120s")
    cluster.kubectl(*scale, "--replicas=2")
    cluster.kubectl(*ready)
    yield
    cluster.kubectl(*scale, "--replicas=1")
    cluster.kubectl(*ready)


def made(world: World) -> Counter[str]:
    """Return how often the operator wrote which kind of child of a model or pool."""
    return Counter(
        write.resource
        for write in world.operator_writes()
        if write.subresource != "status"
        and write.resource != "events"
        and not write.name.startswith(names.GATEWAY)
    )


def test_operator_killed_amid_a_pull_and_a_rollout_comes_to_the_same_end(
    world: World, cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    killed_on_the_way(world, cluster, tmp_path, kill_operators)


@pytest.mark.usefixtures("two_operators")
def test_leader_killed_amid_a_pull_and_a_rollout_is_followed_by_the_other(
    world: World, cluster: EmbeddedCluster, tmp_path: Path
) -> None:
    killed_on_the_way(world, cluster, tmp_path, kill_leader)


def kill_leader(cluster: EmbeddedCluster) -> None:
    """Kill the operator whose pod holds the Lease."""
    pod = leading_pod(cluster)
    uid = cluster.kubectl("-n", NAMESPACE, "get", "pod", pod, "-o", "jsonpath={.metadata.uid}")
    groups = {pid: Path(f"/proc/{pid}/cgroup").read_text() for pid in operator_processes(cluster)}
    (leader,) = [pid for pid, group in groups.items() if uid in group]
    os.kill(leader, signal.SIGKILL)


def killed_on_the_way(world: World, cluster: EmbeddedCluster, folder: Path, kill: Any) -> None:
    weights = write_tiny_model(folder / "tiny.gguf").read_bytes()
    waiting, released = threading.Event(), threading.Event()

    def hold(_: str, offset: int) -> None:
        if offset > 0:
            waiting.set()
            released.wait()

    site = Site(files={"/tiny.gguf": weights}, gate=hold)
    with serving(site, cluster.addresses.host):
        world.apply(local_model("tiny", f"{site.url}/tiny.gguf", storage={"size": "1Gi"}))
        world.until("half of the file is there", waiting.is_set)
        kill(cluster)
        released.set()
        world.until_ready("localmodel", "tiny")
    assert made(world) == {"persistentvolumeclaims": 1, "jobs": 1}
    assert len(world.every("pods")) == 1
    world.apply(pool_of_two())
    world.until_ready("inferencepool", "cpp")
    before = made(world)
    with watched(world, "cpp", "tiny") as seen:
        world.apply(pool_of_two(serving={"parallel": 2}))
        world.until("the new revision has a pod", lambda: len(revisions(world)) == 2)
        kill(cluster)
        world.until_ready("inferencepool", "cpp")
    assert made(world) - before == {"deployments": 1}
    assert len(revisions(world)) == 1
    assert seen.failed == []
    assert seen.fewest == 2


def revisions(world: World) -> set[str]:
    """Return the revisions of the engines that are not on their way out."""
    pods = world.every("pods", "app.kubernetes.io/component=engine")
    return {
        pod["metadata"]["annotations"]["paddock.dev/revision"]
        for pod in pods
        if "deletionTimestamp" not in pod["metadata"]
    }
