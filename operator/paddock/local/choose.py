"""Where `paddock up` puts its cluster: a context you name, here, or kind beside Docker or Podman.

`choose` decides and is pure; `look` asks the machine.
"""

import enum
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass

from paddock.local.problems import LocalError

_SECONDS = 10


class Place(enum.StrEnum):
    """Where the cluster runs."""

    CONTEXT = "Context"
    KIND = "Kind"
    EMBEDDED = "Embedded"


@dataclass(frozen=True, slots=True)
class Machine:
    """What of this machine matters to the choice; `engine` answers, or is None."""

    is_linux: bool
    is_root: bool
    has_apt: bool
    has_kind: bool
    engine: str | None


def choose(context: str | None, machine: Machine) -> Place:
    """Return the place, or raise LocalError with what would have to change for one."""
    if context is not None:
        return Place.CONTEXT
    missing = _missing_for_embedded(machine)
    if missing is None:
        return Place.EMBEDDED
    if machine.engine is not None and machine.has_kind:
        return Place.KIND
    raise LocalError(
        f"No cluster can be made here: {missing}, {_missing_for_kind(machine)}, and no context was "
        "named. Change one of the three."
    )


def look() -> Machine:
    """Ask the machine."""
    return Machine(
        is_linux=sys.platform == "linux",
        is_root=os.geteuid() == 0,
        has_apt=shutil.which("apt-get") is not None,
        has_kind=shutil.which("kind") is not None,
        engine=next((each for each in ("docker", "podman") if _answers(each)), None),
    )


def _missing_for_embedded(machine: Machine) -> str | None:
    if not machine.is_linux:
        return "the embedded cluster needs Linux"
    if not machine.is_root:
        return "the embedded cluster needs root (sudo)"
    if not machine.has_apt:
        return "the embedded cluster needs apt-get (Debian or Ubuntu)"
    return None


def _missing_for_kind(machine: Machine) -> str:
    if machine.engine is None:
        return "neither Docker nor Podman answers"
    return f"{machine.engine} answers but the program kind is not installed"


def _answers(engine: str) -> bool:
    """Return whether a container engine is installed and its daemon lets us in."""
    if shutil.which(engine) is None:
        return False
    try:
        done = subprocess.run([engine, "info"], capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
