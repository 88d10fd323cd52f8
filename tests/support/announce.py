"""Lines that a test prints whether it passes or not: measured numbers and counts."""

from collections.abc import Iterable

import pytest


def announce(config: pytest.Config, lines: Iterable[str]) -> None:
    """Print the lines past pytest's capture."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    assert capture is not None
    assert reporter is not None
    with capture.global_and_fixture_disabled():
        reporter.ensure_newline()
        for line in lines:
            reporter.write_line(line)
