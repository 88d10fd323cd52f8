"""How much CPU processes have used, told by the kernel in hundredths of a second."""

import os
from collections.abc import Iterator
from pathlib import Path


def cpu_seconds(root: int) -> float:
    """Return what a process, those it started and those they started have used."""
    return sum(_used(pid) for pid in (root, *_descendants(root))) / os.sysconf("SC_CLK_TCK")


def started_by_us(word: str) -> int:
    """Return the one process below this one whose command has this word."""
    found = [pid for pid in _descendants(os.getpid()) if word.encode() in _command(pid)]
    (pid,) = found
    return pid


def _descendants(root: int) -> Iterator[int]:
    parents = {
        int(each.name): int(fields[1])
        for each in Path("/proc").glob("[0-9]*")
        if (fields := _fields(int(each.name)))
    }
    below = {root}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    yield from below - {root}


def _used(pid: int) -> int:
    fields = _fields(pid)
    return int(fields[11]) + int(fields[12]) if fields else 0


def _fields(pid: int) -> list[str]:
    """Return what the kernel says after a process' name, or nothing of one that has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
