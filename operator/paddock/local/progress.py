"""How long work is told: to a terminal, to a log, or to nobody."""

import sys
import time
from typing import Protocol


class Progress(Protocol):
    """Receives each step of building and starting."""

    def step(self, subject: str, text: str) -> None:
        """Say what happens to one subject now."""
        ...


class Quiet:
    """Says nothing."""

    def step(self, subject: str, text: str) -> None:
        """Drop the step."""


class Lines:
    """One line per step on standard error, with the seconds since the start."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def step(self, subject: str, text: str) -> None:
        """Print the step."""
        elapsed = time.monotonic() - self._started
        print(f"[{elapsed:6.1f}s] {subject}: {text}", file=sys.stderr, flush=True)  # noqa: T201 - a person waits
