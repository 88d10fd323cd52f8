"""A real model on a web server, for pulls that are broken on their way."""

import os
from collections.abc import Iterator

import pytest

from paddock.puller.journal import BLOCK
from support.tiny_model import write_tiny_model
from support.web_server import Site, serving


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A real GGUF model, padded to many blocks: 5 MiB."""
    file = write_tiny_model(tmp_path_factory.mktemp("weights") / "m.gguf")
    return file.read_bytes() + os.urandom(19 * BLOCK + 77)


@pytest.fixture
def site(weights: bytes) -> Iterator[Site]:
    with serving(Site(files={"/m.gguf": weights})) as site:
        yield site
