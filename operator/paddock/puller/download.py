"""One file over many connections: ranges, work stealing, resume, and the digest on the way.

Workers take runs of missing blocks; a worker without work takes half of the longest run another is
busy with. A hasher follows the contiguous front of the file through the page cache. The file is
never given its final name here.
"""

import hashlib
import http.client
import os
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from paddock.api.pull import PullReason
from paddock.puller.journal import BLOCK, Journal
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError, storage_problem
from paddock.puller.retry import retried
from paddock.puller.ticket import Place
from paddock.puller.web import Answer, Transient, Web, raise_for_status

BLOCK_SECONDS = 120.0
"""A source that takes longer for a block, 256 KiB, is asked anew."""
_CONTENT_RANGE = re.compile(r"bytes [0-9]+-[0-9]+/([0-9]{1,18})")
RUN_BLOCKS = 256
"""Blocks one request asks for at most: 64 MiB, so that a distant server's answer is waited for
seldom. Towards the end it asks for less: little is asked for twice when a worker takes over half of
what another has asked for."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file at the source: where, how large, which version."""

    place: Place
    size: int | None
    etag: str | None
    ranges: bool


class ChangedError(Exception):
    """The file at the source is not the one the download began with."""


@dataclass(slots=True)
class _Run:
    """Blocks one worker is busy with; `end` moves down when another worker takes a half."""

    position: int
    end: int


def probe(web: Web, place: Place) -> Remote:
    """Ask for the first byte: learn the size, the version and whether ranges are honoured."""

    def ask() -> Remote:
        answer = place.open(web, {"Range": "bytes=0-0"})
        try:
            if answer.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
                return Remote(place, 0, None, ranges=False)
            raise_for_status(answer)
            ranges = answer.status == http.client.PARTIAL_CONTENT
            size = _total(answer) if ranges else answer.number("Content-Length")
            return Remote(place, size, _strong(answer.headers.get("ETag")), ranges=ranges)
        finally:
            answer.close()

    return retried(ask, web.tell)


def _total(answer: Answer) -> int:
    total = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", ""))
    if total is None:
        raise PullError(PullReason.SOURCE_REFUSED, "The source does not tell the file's size.")
    return int(total[1])


def _strong(etag: str | None) -> str | None:
    return etag if etag and not etag.startswith("W/") else None


class Download:
    """One file on its way into a partial file."""

    def __init__(self, web: Web, remote: Remote, partial: Path, meter: Meter) -> None:
        if remote.size is None:
            raise PullError(PullReason.SOURCE_REFUSED, "The source does not tell the file's size.")
        self._web, self._remote, self._meter = web, remote, meter
        self._size = remote.size
        self._file = partial
        self._reserve()
        self._journal = Journal(partial.with_suffix(".marks"), remote.size)
        self._condition = threading.Condition()
        self._waiting = [_Run(*gap) for gap in self._journal.gaps()]
        self._busy: list[_Run] = []
        self._workers = 1
        self._failure: BaseException | None = None

    def run(self, parallelism: int) -> str:
        """Fetch what is missing and return the digest of the whole file."""
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(self._file, flags, 0o664)
        try:
            missing = sum(run.end - run.position for run in self._waiting)
            present = max(self._size - missing * BLOCK, 0)
            self._meter.add(present, fetched=False)
            workers = min(parallelism, max(missing, 1)) if self._remote.ranges else 1
            self._workers = workers
            with ThreadPoolExecutor(workers + 1) as pool:
                hashing = pool.submit(self._hash, handle)
                for _ in range(workers):
                    pool.submit(self._work, handle)
                return hashing.result()
        finally:
            os.close(handle)
            self._journal.close()

    def _reserve(self) -> None:
        """Refuse now what will not fit later."""
        held = self._file.lstat().st_blocks * 512 if os.path.lexists(self._file) else 0
        space = os.statvfs(self._file.parent)
        free = space.f_bavail * space.f_frsize
        needed = self._size - held
        if needed > free:
            raise PullError(
                PullReason.INSUFFICIENT_STORAGE,
                f"The volume has {free} bytes free and the file needs {needed} more; "
                "raise storage.size.",
            )

    def _work(self, handle: int) -> None:
        try:
            while (run := self._next_run()) is not None:
                retried(lambda run=run: self._fetch(handle, run), self._web.tell)  # type: ignore[misc]  # mypy cannot type a bound default
                self._finished(run)
        except BaseException as error:  # noqa: BLE001 - told to the hasher, which raises it
            self._fail(error)

    def _next_run(self) -> _Run | None:
        with self._condition:
            if self._failure is not None:
                return None
            if self._waiting:
                first = self._waiting[-1]
                run = _Run(first.position, min(first.end, first.position + self._run_length()))
                first.position = run.end
                if first.position == first.end:
                    self._waiting.pop()
            else:
                stolen = self._steal()
                if stolen is None:
                    return None
                run = stolen
            self._busy.append(run)
            return run

    def _run_length(self) -> int:
        """Return how many blocks the next request asks for: a share of what is left."""
        left = sum(run.end - run.position for run in self._waiting)
        if not self._remote.ranges:
            return left
        return max(1, min(RUN_BLOCKS, left // (2 * self._workers)))

    def _steal(self) -> _Run | None:
        """Take the later half of the longest run that another worker is busy with."""
        longest = max(self._busy, key=lambda run: run.end - run.position, default=None)
        if longest is None or longest.end - longest.position < 2 or not self._remote.ranges:  # noqa: PLR2004 - a half needs two
            return None
        middle = (longest.position + longest.end + 1) // 2
        stolen = _Run(middle, longest.end)
        longest.end = middle
        return stolen

    def _finished(self, run: _Run) -> None:
        with self._condition:
            self._busy.remove(run)
            self._condition.notify_all()

    def _fail(self, error: BaseException) -> None:
        with self._condition:
            self._failure = self._failure or error
            self._condition.notify_all()

    def _fetch(self, handle: int, run: _Run) -> None:
        """Fetch one run from where it stands; a transient failure keeps what has arrived."""
        if run.position >= run.end or self._failure is not None:
            return
        first, last = run.position * BLOCK, min(run.end * BLOCK, self._size) - 1
        headers: dict[str, str] = {}
        if self._remote.ranges:
            headers["Range"] = f"bytes={first}-{last}"
            if self._remote.etag:
                headers["If-Range"] = self._remote.etag
        else:
            run.position = 0
        answer = self._remote.place.open(self._web, headers)
        try:
            raise_for_status(answer)
            self._check(answer, first)
            while run.position < run.end and self._failure is None:
                self._fetch_block(handle, answer, run)
        except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
            raise Transient(f"the connection broke ({type(error).__name__})") from error
        finally:
            answer.close()

    def _check(self, answer: Answer, first: int) -> None:
        if not self._remote.ranges:
            return
        expected = f"bytes {first}-"
        if answer.status != http.client.PARTIAL_CONTENT:
            raise ChangedError
        said = answer.headers.get("Content-Range", "")
        if not said.startswith(expected) or not said.endswith(f"/{self._size}"):
            raise ChangedError

    def _fetch_block(self, handle: int, answer: Answer, run: _Run) -> None:
        block = run.position
        offset = block * BLOCK
        wanted = min(BLOCK, self._size - offset)
        data = answer.read(wanted, BLOCK_SECONDS)
        if len(data) < wanted:
            raise Transient("the connection ended early")
        self._write(handle, data, offset)
        self._meter.add(wanted)
        with self._condition:
            if not self._journal.has(block):
                self._journal.mark(block)
            run.position = block + 1
            self._condition.notify_all()

    def _write(self, handle: int, data: bytes, offset: int) -> None:
        view = memoryview(data)
        try:
            while view:
                written = os.pwrite(handle, view, offset)
                view, offset = view[written:], offset + written
        except OSError as error:
            problem = storage_problem(error)
            if problem.cause is PullReason.INSUFFICIENT_STORAGE:
                self._file.unlink(missing_ok=True)
                self._file.with_suffix(".marks").unlink(missing_ok=True)
            raise problem from error

    def _hash(self, handle: int) -> str:
        """Hash each block as soon as all before it are there."""
        digest = hashlib.sha256()
        for block in range(self._journal.blocks):
            with self._condition:
                while not self._journal.has(block) and self._failure is None:
                    self._condition.wait()
                if self._failure is not None:
                    raise self._failure
            digest.update(os.pread(handle, min(BLOCK, self._size - block * BLOCK), block * BLOCK))
        return f"sha256:{digest.hexdigest()}"
