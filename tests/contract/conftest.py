"""A real control plane for the contract tests: etcd, kube-apiserver and its controllers."""

import gc
import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from paddock.cli.crds import render_crds
from paddock.kube.real import RealCluster, connect
from paddock.local.control_plane import ControlPlane
from paddock.local.progress import Lines
from support.gate import Gate
from support.loop_world import LoopWorld
from support.plane import administrator, kubectl
from support.status_watch import broken_since, followed


@pytest.fixture(autouse=True, scope="module")
def what_is_left_is_found() -> Iterator[None]:
    """Collect at a module's end: a connection left open fails its own tests, not later ones."""
    yield
    gc.collect()


@pytest.fixture(autouse=True, scope="module")
def every_status_keeps_the_rules() -> Iterator[None]:
    """Judge whatever the module made any operator say, at its end."""
    yield
    if broken := broken_since():
        pytest.fail("\n".join(broken))


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Start a control plane with our CRDs; end it with the session."""
    plane = ControlPlane(tmp_path_factory.mktemp("control-plane"), report=Lines())
    try:
        plane.start()
        kubectl(plane, "apply", "-f", "-", stdin="---\n".join(render_crds().values()))
        administrator(plane).await_crds()
        with followed(plane):
            yield plane
    finally:
        plane.stop()


@pytest_asyncio.fixture
async def cluster(control_plane: ControlPlane) -> AsyncIterator[RealCluster]:
    """Connect as the administrator."""
    cluster = await connect(str(control_plane.kubeconfig))
    yield cluster
    await cluster.close()


@pytest.fixture
def namespace(control_plane: ControlPlane) -> Iterator[str]:
    """Give a fresh namespace."""
    name = f"t-{secrets.token_hex(4)}"
    kubectl(control_plane, "create", "namespace", name)
    yield name
    kubectl(control_plane, "delete", "namespace", name, "--wait=false")


@pytest_asyncio.fixture
async def gate(control_plane: ControlPlane) -> AsyncIterator[Gate]:
    """Stand between operators and the apiserver."""
    gate = Gate(control_plane)
    await gate.start()
    yield gate
    await gate.stop()


@pytest.fixture
def world(gate: Gate, cluster: RealCluster, namespace: str, tmp_path: Path) -> Iterator[LoopWorld]:
    """Give a namespace in which operators run behind the gate; end them."""
    world = LoopWorld(gate, cluster, namespace, tmp_path)
    yield world
    world.stop()
