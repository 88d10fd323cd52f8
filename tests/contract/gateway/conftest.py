"""What tests of the gateway share."""

from collections.abc import Iterator, Mapping

import pytest

from support.answering import Answering
from support.two_engines import two_engines


@pytest.fixture(scope="module")
def engines() -> Iterator[Mapping[str, Answering]]:
    with two_engines() as found:
        yield found
