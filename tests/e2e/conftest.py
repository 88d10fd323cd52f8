"""One full cluster for all end-to-end tests: real kubelet, containerd, operator image, engines."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.api.inferencepool import EngineName
from paddock.local.cluster import EmbeddedCluster
from paddock.local.progress import Lines
from paddock.local.sample_model import Sample
from paddock.local.trial import assembled, install_operator, serve_sample
from support.tiny_model import write_tiny_model
from support.world import World

NAME = "e2e"


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedCluster]:
    """Start the cluster with the operator in it; end it without a trace."""
    cluster = EmbeddedCluster(NAME, Lines())
    cluster.down()
    try:
        cluster.up()
        engines = (EngineName.LLAMA_CPP, EngineName.OLLAMA)
        install_operator(cluster, assembled(cluster, engines, Lines()), Lines())
        yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def source(cluster: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Serve the tiny model to the node and return its source."""
    file = write_tiny_model(Path(tmp_path_factory.mktemp("model")) / "tiny.gguf")
    return serve_sample(cluster, Sample("tiny", file=file))


@pytest.fixture
def world(cluster: EmbeddedCluster) -> Iterator[World]:
    """Give a fresh namespace that enforces Pod Security restricted."""
    yield from _fresh(cluster)


@pytest.fixture(scope="module")
def common(cluster: EmbeddedCluster) -> Iterator[World]:
    """Give one such namespace to all tests of a file that leave it as they found it."""
    yield from _fresh(cluster)


def _fresh(cluster: EmbeddedCluster) -> Iterator[World]:
    namespace = f"t-{secrets.token_hex(4)}"
    cluster.apply(
        [
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {
                    "name": namespace,
                    "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
                },
            }
        ]
    )
    yield World(cluster, namespace)
    cluster.kubectl("delete", "namespace", namespace, "--wait=false")
