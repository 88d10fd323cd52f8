"""The images of the embedded node stay as small as they are: growth is seen, and decided."""

import pytest

from paddock.local.cluster import EmbeddedCluster
from paddock.local.images import recipes
from paddock.local.progress import Quiet
from support.announce import Announce

pytestmark = pytest.mark.e2e
MEGABYTES = {
    recipes.operator_image: 345,
    recipes.envoy_image: 120,
    recipes.llama_cpp_image: 70,
    recipes.ollama_image: 50,
}
"""What each archive may take, unpacked. Of the operator's 278 are its locked packages, the largest
of them Envoy, with which it checks what it renders, and Kubernetes' client."""


def test_images_are_no_bigger_than_decided(cluster: EmbeddedCluster, announce: Announce) -> None:
    del cluster  # it has them made
    archives = {each(Quiet()).archive: most for each, most in MEGABYTES.items()}
    sizes = {archive: round(archive.stat().st_size / 1e6) for archive in archives}
    announce("images: " + ", ".join(f"{file.name} {size} MB" for file, size in sizes.items()))
    assert {file.name: size for file, size in sizes.items() if size > archives[file]} == {}
