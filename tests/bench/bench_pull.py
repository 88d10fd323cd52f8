"""What a pull reaches: its share of a link capped per connection, and bytes per CPU-second.

Run as `python tests/bench/bench_pull.py [MEBIBYTES]`: a server and a puller as processes of their
own on loopback; `curl` fetches the same file to the same place in the same run. Prints tables.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from paddock.api.pull import Access, PullPlan
from support import paced_server
from support.pull_process import start
from support.tiny_model import write_tiny_model

RATE = 4 << 20
CONNECTIONS = 8
CAPPED_SECONDS = 30
MEBIBYTE = 1 << 20
DELAYS = (0.0, 0.05)
Row = tuple[str, float, float]


@contextmanager
def serving(file: Path, rate: int, delay: float) -> Iterator[str]:
    """Serve a file; yield its URL."""
    arguments = [sys.executable, paced_server.__file__, str(file), str(rate), str(delay)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{server.stdout.readline().strip()}/m.gguf"
        finally:
            server.terminate()


def measured(process: "subprocess.Popen[bytes]", name: str) -> Row:
    """Wait for a process; return its wall and CPU seconds."""
    began = time.monotonic()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, f"{name} failed"
    return name, time.monotonic() - began, used.ru_utime + used.ru_stime


def pulled(url: str, folder: Path, name: str, parallelism: int) -> Row:
    """Pull with the program of the Job."""
    (store := folder / "store").mkdir()
    access = Access(cidrs=("127.0.0.1/32",), http=True)
    plan = PullPlan(model="bench", source=url, parallelism=parallelism, access=access)
    row = measured(start(plan, store, folder).process, name)
    shutil.rmtree(store)
    return row


def commanded(arguments: Sequence[str], name: str) -> Row:
    return measured(subprocess.Popen(arguments, stdout=subprocess.DEVNULL), name)


def began() -> Row:
    """Measure what the puller takes before it does anything."""
    return commanded([sys.executable, "-c", "import paddock.puller.__main__"], "paddock's start")


def capped(folder: Path) -> list[Row]:
    """Fetch over a link that gives each connection its share only."""
    file = padded(folder, RATE * CONNECTIONS * CAPPED_SECONDS)
    rows = []
    for delay in DELAYS:
        with serving(file, RATE, delay) as url:
            rows.append(pulled(url, folder, f"{delay * 1000:.0f} ms to each answer", CONNECTIONS))
    file.unlink()
    return rows


def uncapped(folder: Path, mebibytes: int) -> list[Row]:
    """Fetch as fast as this machine can, beside curl."""
    file = padded(folder, mebibytes * MEBIBYTE)
    out = str(folder / "curl")
    with serving(file, 0, 0.0) as url:
        rows = [
            pulled(url, folder, "paddock, 8 connections", CONNECTIONS),
            pulled(url, folder, "paddock, 1 connection", 1),
            commanded(["curl", "-s", "-o", out, url], "curl"),
            commanded(["sha256sum", out], "sha256sum of it"),
            began(),
        ]
    Path(out).unlink()
    file.unlink()
    return rows


def padded(folder: Path, size: int) -> Path:
    """Return a real model followed by as many zeros as it takes."""
    file = write_tiny_model(folder / "m.gguf")
    os.truncate(file, size)
    return file


def main() -> None:
    mebibytes = int(sys.argv[1]) if len(sys.argv) > 1 else 1024
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        link, full = capped(Path(name)), uncapped(Path(name), mebibytes)
    _, start_seconds, _ = full[-1]
    shares = {
        name: (round(CAPPED_SECONDS / wall, 3), round(CAPPED_SECONDS / (wall - start_seconds), 3))
        for name, wall, _ in link
    }
    print(f"link of {CONNECTIONS} x {RATE / MEBIBYTE:.0f} MiB/s, {CAPPED_SECONDS} s at best")  # noqa: T201 - a bench prints
    for name, (share, without) in shares.items():
        print(f"  {name:<24} share {share:.3f}, without the program's start {without:.3f}")  # noqa: T201 - same
    print(f"{mebibytes} MiB uncapped        wall s   CPU s   MiB per CPU-second")  # noqa: T201 - same
    for name, wall, used in full:
        print(f"  {name:<24} {wall:6.2f}  {used:6.2f}  {mebibytes / used:8.0f}")  # noqa: T201 - same
    print(json.dumps({"share": shares, "uncapped": full}))  # noqa: T201 - same, for programs


if __name__ == "__main__":
    main()
