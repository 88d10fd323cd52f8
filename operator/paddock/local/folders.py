"""Where the embedded cluster keeps what it built and what it runs.

Honours XDG_CACHE_HOME and XDG_STATE_HOME; nothing is written outside these two trees.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_folder() -> Path:
    """Return the folder of everything that can be made again, by version."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "paddock"


def clusters_folder() -> Path:
    """Return the folder that holds a folder per cluster."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "paddock" / "clusters"


def state_folder(cluster: str) -> Path:
    """Return the folder of one cluster: keys, logs, data, process records."""
    return clusters_folder() / cluster


@contextmanager
def locked(subject: str) -> Iterator[None]:
    """Let one program of this machine at a time do this; the kernel drops a dead one's lock."""
    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / subject).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
