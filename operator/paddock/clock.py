"""Time enters the program here and nowhere else; pure code receives it as a value."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Gives wall time for what users read and monotonic time for every wait."""

    def now(self) -> datetime:
        """Return the wall time, in UTC, to the second."""
        ...

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the wall time, in UTC, to the second."""
        return datetime.now(UTC).replace(microsecond=0)

    def monotonic(self) -> float:
        """Return seconds that only grow."""
        return time.monotonic()


def rfc3339(moment: datetime) -> str:
    """Write a moment the way Kubernetes does: whole seconds, UTC, with a Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_rfc3339(text: str) -> datetime:
    """Read a moment as Kubernetes writes it."""
    return datetime.fromisoformat(text)
