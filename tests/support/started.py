"""Servers that tests start as processes of their own, and end."""

import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

START_SECONDS = 60.0
"""What a start may take while the machine is busy; how long it takes is not tested."""
_POLL = 0.02
_LAST_WORDS = 3000


@contextmanager
def started(
    command: Sequence[str | Path],
    log: Path,
    url: str,
    *,
    environment: Mapping[str, str] | None = None,
    any_answer: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; it has answered the URL with success when it begins."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=environment
        )
    try:
        _wait_until_answering(process, url, log, any_answer=any_answer)
        yield process
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait_until_answering(
    process: subprocess.Popen[bytes], url: str, log: Path, *, any_answer: bool
) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx.TransportError):
            if httpx.get(url, timeout=5).is_success or any_answer:
                return
        time.sleep(_POLL)
    words = log.read_text(errors="replace")[-_LAST_WORDS:]
    raise AssertionError(f"{process.args} does not answer at {url}: {words}")
