"""Recorded daemons: found again, ended for certain, and never mistaken for a stranger."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddock.local.problems import LocalError
from paddock.local.processes import (
    kill_strays,
    recorded_pid,
    run,
    start_daemon,
    start_time,
    stop_daemon,
)

FOREVER = [sys.executable, "-c", "import signal; signal.pause()"]
DEAF = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""
STUBBORN = [sys.executable, "-c", DEAF]


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(FOREVER)
    yield process
    process.kill()
    process.wait()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_daemon_is_recorded_found_and_ended(tmp_path: Path) -> None:
    pid = start_daemon("waiter", FOREVER, tmp_path)
    assert recorded_pid("waiter", tmp_path) == pid
    stop_daemon("waiter", tmp_path)
    assert recorded_pid("waiter", tmp_path) is None
    assert start_time(pid) is None
    assert not (tmp_path / "waiter.pid").exists()


def test_daemon_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    pid = start_daemon("deaf", STUBBORN, tmp_path)
    wait_until(lambda: (tmp_path / "deaf.log").read_text() == "deaf\n")
    stop_daemon("deaf", tmp_path, grace=0.2)
    assert start_time(pid) is None


@pytest.mark.parametrize("record", ["{pid} 1 {boot}", "{pid} {start} another-boot", "{pid}", ""])
def test_stale_record_kills_no_stranger(
    tmp_path: Path, stranger: subprocess.Popen[bytes], record: str
) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    text = record.format(pid=stranger.pid, start=start_time(stranger.pid), boot=boot)
    (tmp_path / "old.pid").write_text(text)
    assert recorded_pid("old", tmp_path) is None
    stop_daemon("old", tmp_path)
    assert stranger.poll() is None


def test_daemon_whose_record_was_lost_is_ended_and_no_other(
    tmp_path: Path, stranger: subprocess.Popen[bytes]
) -> None:
    start_daemon("lost", FOREVER, tmp_path / "one" / "node")
    (tmp_path / "one" / "node" / "lost.pid").rename(tmp_path / "lost.pid")
    other = start_daemon("other", FOREVER, tmp_path / "one-more")
    kill_strays(tmp_path / "one")
    wait_until(lambda: recorded_pid("lost", tmp_path) is None)
    assert start_time(other) is not None
    assert stranger.poll() is None
    stop_daemon("other", tmp_path / "one-more")


def test_failed_command_tells_its_last_words() -> None:
    with pytest.raises(LocalError, match=r"failed \(3\): no room"):
        run([sys.executable, "-c", "import sys; print('no room', file=sys.stderr); sys.exit(3)"])


def test_missing_program_is_named() -> None:
    with pytest.raises(LocalError, match="no-such-program is missing"):
        run(["no-such-program"])
