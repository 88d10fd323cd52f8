"""`paddock up --context` and `down --context` on a cluster that is somebody's own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from paddock.local.cluster import EmbeddedCluster
from paddock.local.images.recipes import operator_image
from paddock.local.progress import Quiet
from paddock.wire import Manifest
from support.world import local_model

pytestmark = pytest.mark.e2e


@pytest.fixture
def somebodys() -> Iterator[EmbeddedCluster]:
    """Start a cluster that knows nothing of Paddock; its context is named `paddock`."""
    cluster = EmbeddedCluster("somebodys", Quiet())
    cluster.down()
    try:
        cluster = EmbeddedCluster("somebodys", Quiet())
        cluster.up()
        yield cluster
    finally:
        cluster.down()


def paddock(cluster: EmbeddedCluster, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "paddock", *arguments, "--context", "paddock"],
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout + done.stderr


def names_of(cluster: EmbeddedCluster, *what: str) -> set[str]:
    items: list[Manifest] = json.loads(cluster.kubectl("get", *what, "-o", "json"))["items"]
    return {str(item["metadata"]["name"]) for item in items}  # type: ignore[index,call-overload]


def picture(cluster: EmbeddedCluster) -> dict[str, set[str]]:
    kinds = ("namespaces", "customresourcedefinitions", "clusterroles", "clusterrolebindings",
             "deployments", "jobs", "services", "configmaps", "networkpolicies")  # fmt: skip
    return {kind: names_of(cluster, kind, "--all-namespaces") for kind in kinds}


def test_up_installs_and_says_what_is_wrong_and_down_takes_all_out(
    somebodys: EmbeddedCluster,
) -> None:
    before = picture(somebodys)
    image = operator_image(Quiet())
    somebodys.node.load_image(image.archive)
    host = somebodys.addresses.host
    code, said = paddock(
        somebodys, "up", "--engine", "llama-cpp", "--operator-image", image.name,
        "--model", f"https://{host}/model.gguf",
    )  # fmt: skip
    assert code == 1
    assert "operator  ready" in said
    assert "is not a public address; the administrator can allow its range" in said

    somebodys.apply([local_model("mine", "https://models.example/m.gguf")])
    code, said = paddock(somebodys, "down")
    assert code == 1
    assert "LocalModel default/mine" in said
    assert names_of(somebodys, "localmodels", "-A") == {"mine", "model"}

    somebodys.kubectl("delete", "localmodel", "mine")
    code, said = paddock(somebodys, "down")
    assert (code, said) == (0, "Removed from paddock.\n")
    assert picture(somebodys) == before


def test_context_that_is_not_there_is_a_sentence(tmp_path: os.PathLike[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "paddock", "up", "--context", "absent"],
        env={**os.environ, "KUBECONFIG": f"{tmp_path}/none"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert 'context "absent" does not exist' in done.stderr
    assert "Traceback" not in done.stderr
