"""One full cluster for all end-to-end tests: real kubelet, containerd, operator image, engines."""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paddock.api.inferencepool import EngineName
from paddock.local.cluster import EmbeddedCluster
from paddock.local.progress import Lines
from paddock.local.sample_model import Sample
from paddock.local.trial import assembled, install_operator, serve_sample
from support.collector_image import COLLECTOR_IMAGE
from support.sample_hub import sample_hub
from support.status_watch import broken_since, followed
from support.tiny_model import write_tiny_model
from support.web_server import Site, serving
from support.world import World

NAME = "e2e"


@pytest.fixture(autouse=True, scope="module")
def every_status_keeps_the_rules() -> Iterator[None]:
    """Judge whatever the module made the operator say, at its end."""
    yield
    if broken := broken_since():
        pytest.fail("\n".join(broken))


@pytest.fixture(scope="session")
def node() -> Iterator[EmbeddedCluster]:
    """Start a cluster with nothing of ours in it; end it without a trace."""
    cluster = EmbeddedCluster(NAME, Lines())
    cluster.down()
    try:
        cluster.up()
        with followed(cluster.plane):
            yield cluster
    finally:
        cluster.down()


@pytest.fixture(scope="session")
def hub(node: EmbeddedCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Serve the node what the samples pull, in place of Hugging Face and Ollama's library."""
    with serving(sample_hub(tmp_path_factory.mktemp("hub")), node.addresses.host) as site:
        yield site


@pytest.fixture(scope="session")
def cluster(node: EmbeddedCluster, hub: Site) -> EmbeddedCluster:
    """Put the operator into the cluster."""
    found = assembled(node, (EngineName.LLAMA_CPP, EngineName.OLLAMA), Lines())
    mirrors = ("--hf-endpoint", hub.url, "--ollama-registry", hub.url.removeprefix("http://"))
    images = ("--collector-image", COLLECTOR_IMAGE)
    install_operator(node, replace(found, arguments=(*found.arguments, *mirrors, *images)), Lines())
    return node


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
