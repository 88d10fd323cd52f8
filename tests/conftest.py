"""What goes for all tests: which of them share a worker, and the numbers that they measure."""

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from support.announce import MEASURED, Announce

_NODE = "tests/e2e/"

# What a case takes tells how busy the machine is, not whether the code is right.
settings.register_profile("machine", deadline=None)
settings.load_profile("machine")


class FilesAndOneNode(LoadScopeScheduling):
    """Gives a worker one file after the other, and all that need the one full node to the same."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return _NODE if file.startswith(_NODE) else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> FilesAndOneNode:
    return FilesAndOneNode(config, log)


@pytest.fixture
def announce(record_property: Callable[[str, object], None]) -> Announce:
    """Note a line of measured numbers, printed in the end whether the test passes or not."""
    return partial(record_property, MEASURED)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ended = (each for reports in terminalreporter.stats.values() for each in reports)
    properties = [
        each.user_properties for each in ended if getattr(each, "when", None) == "teardown"
    ]
    lines = [line for found in properties for name, line in found if name == MEASURED]
    if lines:
        terminalreporter.section("measured")
    for line in lines:
        terminalreporter.write_line(line)
