"""What the pull has done so far, counted by its threads and read by the progress server."""

import threading
import time
from collections import deque

from paddock.api.localmodel import Progress
from paddock.api.pull import PullFailure, PullNews

_WINDOW = 10.0


class Meter:
    """Counts bytes; the rate is that of the last ten seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bytes = 0
        self._total: int | None = None
        self._samples: deque[tuple[float, int]] = deque([(time.monotonic(), 0)])
        self.fetched = 0
        self._trouble: PullFailure | None = None

    def expect(self, total: int) -> None:
        """Add a file's size to the total."""
        with self._lock:
            self._total = (self._total or 0) + total

    def add(self, count: int, *, fetched: bool = True) -> None:
        """Count bytes that are in the store; `fetched` if they crossed the network now."""
        with self._lock:
            self._bytes += count
            if fetched:
                self.fetched += count

    def standing(self) -> tuple[int, int | None]:
        """Return the bytes in the store and the total, to come back to."""
        with self._lock:
            return self._bytes, self._total

    def back_to(self, standing: tuple[int, int | None]) -> None:
        """Forget what was counted since: it was thrown away."""
        with self._lock:
            self._bytes, self._total = standing

    def tell(self, trouble: PullFailure | None) -> None:
        """Say what is in the way just now, or that nothing is."""
        self._trouble = trouble

    def news(self) -> PullNews:
        """Return where the pull stands, with what is in its way."""
        return PullNews(**self.progress().model_dump(), trouble=self._trouble)

    def progress(self) -> Progress:
        """Return where the pull stands."""
        with self._lock:
            now = time.monotonic()
            self._samples.append((now, self._bytes))
            while now - self._samples[0][0] > _WINDOW and len(self._samples) > 1:
                self._samples.popleft()
            since, before = self._samples[0]
            rate = int((self._bytes - before) / (now - since)) if now > since else 0
            total = self._total
            left = max(total - self._bytes, 0) if total is not None else None
            return Progress(
                bytes=self._bytes,
                total_bytes=total,
                percent=min(100, self._bytes * 100 // total) if total else None,
                bytes_per_second=rate,
                eta_seconds=left // rate if left is not None and rate else None,
            )
