"""A puller killed at every step it takes on its store, and started again: one JSON line for each.

`kill_points.py FOLDER` with the plan in the environment. Each try is a fork of this process, so the
program is loaded once. A step is an operation that Python announces (PEP 578) and that names the
store: open, mkdir, rename, symlink, remove, chmod; the kill comes right before it.
"""

import itertools
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from paddock.api.pull import REPORT_FILE_VARIABLE
from paddock.puller.__main__ import main

_STEPS = frozenset({"open", "os.mkdir", "os.rename", "os.symlink", "os.remove", "os.truncate"})


def attempt(store: Path, kill_at: int | None) -> int:
    """Run the puller in a fork; return its exit status, negative for a signal."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if kill_at is not None:
            kill_before(kill_at, store)
        os._exit(main([], store, port=0))
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def kill_before(step: int, store: Path) -> None:
    """Kill this process right before it takes its n-th step on the store."""
    steps = itertools.count(1)
    mark = str(store)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _STEPS or not any(mark in str(each) for each in arguments):
            return
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def marked(store: Path) -> int:
    """Return how many blocks the journals say are there."""
    return sum(file.read_bytes().count(1) for file in store.glob("blobs/partial/*.marks"))


def run(folder: Path) -> None:
    """Try every kill point until the puller outlives them."""
    report = Path(os.environ[REPORT_FILE_VARIABLE])
    for step in itertools.count(1):
        store = folder / f"{step:03}"
        store.mkdir()
        killed = attempt(store, step)
        kept, whole = marked(store), len(list(store.glob("blobs/sha256-*")))
        status = attempt(store, None)
        line = {"killed": killed, "marked": kept, "blobs": whole, "status": status}
        print(json.dumps({**line, **json.loads(report.read_text())}), flush=True)  # noqa: T201 - the result
        if killed == 0:
            return


if __name__ == "__main__":
    run(Path(sys.argv[1]))
