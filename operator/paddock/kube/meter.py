"""Counts what this process asks of the apiserver: requests by method, bytes received."""

from collections import Counter
from dataclasses import dataclass, field

WRITES = frozenset({"POST", "PUT", "PATCH", "DELETE"})


@dataclass(slots=True)
class Meter:
    """The one mutable counter of a cluster connection."""

    requests: Counter[str] = field(default_factory=Counter)
    received: int = 0

    @property
    def writes(self) -> int:
        """Return how many mutating requests were sent."""
        return sum(count for method, count in self.requests.items() if method in WRITES)
