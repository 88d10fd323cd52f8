"""Counts what this process asks of the apiserver: requests, answers by code, bytes received."""

from collections import Counter
from dataclasses import dataclass, field

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(slots=True)
class Meter:
    """The one mutable counter of a cluster connection."""

    requests: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By method and status code; 0 where no answer came."""
    received: int = 0

    @property
    def writes(self) -> int:
        """Return how many mutating requests were sent."""
        return sum(count for method, count in self.requests.items() if method in WRITES)
