"""An install on a full node: every sample runs, and Helm takes over, and leaves."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from paddock import names
from paddock.local.cluster import EmbeddedCluster
from paddock.local.progress import Lines
from paddock.local.trial import Installed, install_operator
from support.charts import CHARTS, helm, setting
from support.sample_hub import SAMPLES, samples, senders
from support.web_server import Site
from support.world import World

pytestmark = pytest.mark.e2e
SYSTEM = "paddock-system"
REQUEST = "2026-11-21T10:00:00Z"
NO_GPU = "gpu-pool"
"""vLLM needs a GPU, and this node has none: the sample's model is pulled, its pool says why not."""
GATED = "google/gemma-3-1b-it-qat-q4_0-gguf"


@pytest.fixture
def worlds(cluster: EmbeddedCluster, world: World) -> Iterator[dict[str, World]]:
    """Give each sample a namespace of its own."""
    found = {story: World(cluster, f"{world.namespace}-{story}") for story in samples()}
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    spaces = [
        {"apiVersion": "v1", "kind": "Namespace",
         "metadata": {"name": each.namespace, "labels": labels}}
        for each in found.values()
    ]  # fmt: skip
    cluster.apply(spaces)
    yield found
    cluster.kubectl(
        "delete", "namespace", "--wait=false", *(each.namespace for each in found.values())
    )


@pytest.fixture
def installed(cluster: EmbeddedCluster) -> Iterator[Installed]:
    """Say how the operator of this cluster was started; afterwards it is so again."""
    where = ("-n", SYSTEM, "get", "deployment", "paddock-operator", "-o", "json")
    pod = json.loads(cluster.kubectl(*where))["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    found = Installed(container["image"], tuple(container["args"][1:]))
    yield found
    install_operator(cluster, found, Lines())


def test_every_sample_serves_as_it_is_while_helm_takes_the_install_over_and_leaves(
    worlds: dict[str, World], hub: Site, cluster: EmbeddedCluster, installed: Installed
) -> None:
    for story, world in worlds.items():
        cluster.kubectl("-n", world.namespace, "apply", "-f", str(SAMPLES / f"{story}.yaml"))
    lonely = worlds.pop(NO_GPU)
    for story, world in worlds.items():
        for pool in pools_of(story):
            world.until_ready("inferencepool", pool["metadata"]["name"])
            for model in pool["spec"]["models"]:
                assert world.ask(model.get("as", model["name"]))["choices"]
    assert senders(hub, [GATED]) == {"Bearer put-your-token-here"}
    assert {said for said in hub.authorizations if said} == senders(hub, [GATED])
    lonely.until_ready("localmodel", "qwen-7b")
    said = lonely.until_reason("inferencepool", "vllm", "Unschedulable")
    assert "No node has the labels" in said
    assert lonely.condition("inferencepool", "vllm", "Accepted")[0] == "True"

    before = {story: engines(world) for story, world in worlds.items()}
    assert all(before.values())
    take_over(cluster, installed)
    chat = worlds["existing-claim"]
    chat.patch(
        "inferencepool", "chat", {"metadata": {"annotations": {names.VERIFY_ANNOTATION: REQUEST}}}
    )
    chat.until("the operator that Helm put there works", lambda: verified(chat) == REQUEST)
    helm("uninstall", "paddock", "--namespace", SYSTEM, kubeconfig=cluster.kubeconfig)
    assert "paddock" not in cluster.kubectl("-n", SYSTEM, "get", "deployments", "-o", "name")
    assert {story: engines(world) for story, world in worlds.items()} == before
    assert worlds["two-engines-one-claim"].ask("qwen")["choices"]


def pools_of(story: str) -> list[dict[str, Any]]:
    return [each for each in samples()[story] if each["kind"] == names.INFERENCE_POOL]


def verified(world: World) -> str | None:
    found = world.get("inferencepool", "chat") or {}
    told: str | None = found["status"].get("verifiedRequest")
    return told


def engines(world: World) -> set[str]:
    """Return the pods that serve."""
    pods = world.every("pods", f"{names.COMPONENT_LABEL}=engine")
    return {pod["metadata"]["uid"] for pod in pods}


def take_over(cluster: EmbeddedCluster, installed: Installed) -> None:
    """Let Helm take over what runs, with the image and the arguments that it has."""
    registry, _, rest = installed.image.partition("/")
    repository, _, tag = rest.rpartition(":")
    words = " ".join(installed.arguments).replace("=", " ").split()

    def said(option: str) -> str:
        return words[words.index(option) + 1]

    values = {
        "image": {"registry": registry, "repository": repository, "tag": tag},
        "sources": {
            "allowHttp": True,
            "allowedCidrs": [said("--allow-cidr")],
            "huggingFaceEndpoint": said("--hf-endpoint"),
            "ollamaRegistry": said("--ollama-registry"),
        },
        "engineImages": {"ollama": said("--ollama-image"), "llamaCpp": said("--llama-cpp-image")},
        "envoyImage": said("--envoy-image"),
        "crds.enabled": False,
    }
    helm(
        "upgrade", "--install", "paddock", CHARTS / "paddock", "--namespace", SYSTEM,
        "--take-ownership", "--force-conflicts", "--wait", "--timeout", "180s", *setting(values),
        kubeconfig=cluster.kubeconfig,
    )  # fmt: skip
