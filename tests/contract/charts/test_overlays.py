"""Kustomize over the plain manifests, by kubectl's own: one image everywhere, any namespace."""

import os
from pathlib import Path

import pytest
import yaml

from paddock.local import builds
from paddock.local.processes import run
from paddock.local.progress import Lines
from support.charts import ROOT, Manifest, container_of, documents
from support.observability import DASHBOARDS, FOLDER

pytestmark = pytest.mark.contract
OVERLAY = ROOT / "manifests" / "gitops" / "kustomize" / "kustomization.yaml"
INSTALL = ROOT / "manifests" / "install"
DIGEST = "sha256:" + "a" * 64


def built(folder: Path) -> list[Manifest]:
    binary = builds.ensure(["kubectl"], Lines())["kubectl"] / "kubectl"
    return documents(run([binary, "kustomize", folder]))


def overlay(folder: Path, base: str, **more: object) -> Path:
    """Write an overlay over a base, as a user's repository has it."""
    whole = {"resources": [os.path.relpath(INSTALL / base, folder)], **more}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    return folder


def images_of(manifests: list[Manifest]) -> set[str]:
    """Return the images of our own pods, and that of the pull Jobs."""
    (told,) = [word for word in container_of(manifests)["args"]
               if word.startswith("--operator-image=")]  # fmt: skip
    own = {container_of(manifests, part)["image"] for part in ("operator", "activator")}
    return own | {told.partition("=")[2]}


def test_overlay_of_the_sample_gives_pulls_the_image_it_gives_the_operator() -> None:
    own = "registry.example.com/mirror/paddock-dev/paddock:0.1.0"
    assert images_of(built(OVERLAY.parent)) == {own}


@pytest.mark.parametrize("base", ["cluster", "namespaced"])
def test_overlay_pins_every_image_by_digest(base: str, tmp_path: Path) -> None:
    sample = yaml.safe_load(OVERLAY.read_text())
    images = [{"name": "ghcr.io/paddock-dev/paddock", "newName": "own/paddock", "digest": DIGEST}]
    folder = overlay(tmp_path, base, images=images, replacements=sample["replacements"])
    assert images_of(built(folder)) == {f"own/paddock@{DIGEST}"}


def test_overlay_moves_the_namespaced_install_as_a_whole(tmp_path: Path) -> None:
    manifests = built(overlay(tmp_path, "namespaced", namespace="team-x"))
    assert {each["metadata"]["namespace"] for each in manifests} == {"team-x"}
    subjects = [
        subject["namespace"]
        for each in manifests
        for subject in each.get("subjects", [])
        if subject["kind"] == "ServiceAccount"
    ]
    assert subjects
    assert set(subjects) == {"team-x"}


def test_observability_comes_as_a_whole_with_every_dashboard() -> None:
    found = {each["kind"]: each for each in built(FOLDER)}
    assert set(found) == {"ConfigMap", "PodMonitor", "PrometheusRule"}
    boards = found["ConfigMap"]
    assert boards["data"] == {file.name: file.read_text() for file in DASHBOARDS}
    assert boards["metadata"] == {
        "name": "paddock-dashboards",
        "labels": {"grafana_dashboard": "1"},
    }
