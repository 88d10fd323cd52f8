"""Running programs: one-shot commands whose failure is a sentence, and recorded daemons.

A recorded daemon is known by its process id, its start time and the boot it lives in, so that a
stranger with a reused id is never killed.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from paddock.local.problems import LocalError

_TAIL = 1500
_POLL, _BLINK = 0.05, 0.001
_KILL_SECONDS = 30.0
"""A killed process has no say, but a machine under load takes its time to end it."""
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_OWNER = "PADDOCK_STATE_FOLDER"
"""Set in every daemon's environment: finds those whose record was lost with their starter."""


def run(
    arguments: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: str | None = None,
) -> str:
    """Run a command to its end and return its output; raise LocalError with its last words."""
    environment = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(
            [str(argument) for argument in arguments],
            cwd=cwd,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise LocalError(f"The program {arguments[0]} is missing on this machine.") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout)[-_TAIL:].strip()
        raise LocalError(f"{Path(str(arguments[0])).name} failed ({done.returncode}): {words}")
    return done.stdout


def start_time(pid: int) -> int | None:
    """Return the start time of a process in clock ticks since boot, or None if it is gone.

    One that has ended but is not collected is gone only with the last of its threads: until then
    it keeps its files and ports.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat.rpartition(")")[2].split()
    state, threads, started = fields[0], int(fields[17]), int(fields[19])
    return None if state == "Z" and threads <= 1 else started


def start_daemon(
    name: str,
    arguments: Sequence[str | Path],
    folder: Path,
    *,
    env: Mapping[str, str] | None = None,
) -> int:
    """Start a program that outlives us, record it in the folder, and return its process id."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen(  # the daemon is waited for by its record, not by this object
            [str(argument) for argument in arguments],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, **(env or {}), _OWNER: str(folder)},
            start_new_session=True,
        )
    (folder / f"{name}.pid").write_text(f"{process.pid} {_identity(process.pid)}")
    _CHILDREN[process.pid] = process
    _await_mark(process)
    return process.pid


def _await_mark(process: subprocess.Popen[bytes]) -> None:
    """Wait until the kernel shows the new program's environment: before, no stray is found by it.

    Popen returns a moment earlier, when exec has closed its pipe.
    """
    environment = Path(f"/proc/{process.pid}/environ")
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        while process.poll() is None and not environment.read_bytes():
            time.sleep(_BLINK)


_CHILDREN: dict[int, subprocess.Popen[bytes]] = {}
"""Daemons started by this very process, kept so that their end can be collected."""


def recorded_pid(name: str, folder: Path) -> int | None:
    """Return the process id of a recorded daemon that still runs."""
    record = folder / f"{name}.pid"
    if not record.exists():
        return None
    pid, _, identity = record.read_text().partition(" ")
    if not pid:
        return None  # we were killed while writing it
    _reap(int(pid))
    return int(pid) if _identity(int(pid)) == identity else None


def _identity(pid: int) -> str | None:
    """Return what only this process has: its start, and the boot that its start counts from."""
    started = start_time(pid)
    return None if started is None else f"{started} {_BOOT.read_text().strip()}"


def stop_daemon(
    name: str, folder: Path, *, grace: float = 10.0, first: int = signal.SIGTERM
) -> None:
    """End a recorded daemon: the first signal, then SIGKILL after the grace; wait until gone."""
    pid = recorded_pid(name, folder)
    if pid is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, first)
        if not _gone(name, folder, grace):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            if not _gone(name, folder, _KILL_SECONDS):
                raise LocalError(f"{name} (process {pid}) does not end")
    (folder / f"{name}.pid").unlink(missing_ok=True)


def _gone(name: str, folder: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while recorded_pid(name, folder) is not None:
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL)
    return True


def _reap(pid: int) -> None:
    child = _CHILDREN.get(pid)
    if child is not None and child.poll() is not None:
        del _CHILDREN[pid]


def kill_strays(folder: Path) -> None:
    """SIGKILL every daemon started for a folder below this one, recorded or not."""
    mark = f"{_OWNER}={folder}".encode()
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _has_mark(process, mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)


def _has_mark(process: Path, mark: bytes) -> bool:
    try:
        variables = (process / "environ").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(each == mark or each.startswith(mark + b"/") for each in variables)


def last_words(name: str, folder: Path) -> str:
    """Return the end of a daemon's log, for an error message."""
    log = folder / f"{name}.log"
    return log.read_text(errors="replace")[-_TAIL:] if log.exists() else ""
