"""The bounded queue: how many requests wait, how many are under way, how many bytes they hold.

Decides on numbers only. A caller that leaves gives its place back.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from paddock.activator.answers import Answer, RefusedError
from paddock.activator.limits import Limits
from paddock.activator.targets import Target


class Admission:
    """The places and bytes of one activator."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: Counter[Target] = Counter()
        self._requests = self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """Return the bytes of all bodies that are held."""
        return self._bytes

    def waiting(self, target: Target) -> int:
        """Return how many requests wait for a pool."""
        return self._waiting[target]

    @contextmanager
    def request(self) -> Iterator[None]:
        """Take one of the places of requests under way."""
        if self._requests >= self._limits.requests:
            raise RefusedError(self._full(503, "overloaded", "The activator is full; try again."))
        self._requests += 1
        try:
            yield
        finally:
            self._requests -= 1

    @contextmanager
    def place(self, target: Target) -> Iterator[None]:
        """Take one of the places of requests that wait for a pool."""
        if self._waiting[target] >= self._limits.waiting:
            message = f"Too many requests wait for {target.name} to start; try again."
            raise RefusedError(self._full(429, "queue_full", message))
        self._waiting[target] += 1
        try:
            yield
        finally:
            self._waiting[target] -= 1
            if not self._waiting[target]:
                del self._waiting[target]

    @contextmanager
    def bytes(self) -> Iterator["HeldBytes"]:
        """Hold the bytes of one body until the block ends."""
        held = HeldBytes(self)
        try:
            yield held
        finally:
            self._bytes -= held.count

    def take(self, held: "HeldBytes", count: int) -> None:
        """Hold so many bytes more for a body, or refuse it."""
        if held.count + count > self._limits.body_bytes:
            message = f"The body is larger than {self._limits.body_bytes} bytes."
            raise RefusedError(Answer(413, "request_too_large", message))
        if self._bytes + count > self._limits.held_bytes:
            message = "The activator holds as much as it may; try again."
            raise RefusedError(self._full(503, "overloaded", message))
        held.count += count
        self._bytes += count

    def _full(self, status: int, code: str, message: str) -> Answer:
        return Answer(status, code, message, self._limits.retry_after)


class HeldBytes:
    """The bytes one request holds."""

    def __init__(self, admission: Admission) -> None:
        self._admission, self.count = admission, 0

    def take(self, count: int) -> None:
        """Hold so many bytes more, or refuse them."""
        self._admission.take(self, count)
