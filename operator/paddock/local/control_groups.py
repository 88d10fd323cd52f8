"""The control group that holds all pods of a cluster, under version 1 and version 2."""

import time
from collections.abc import Iterable
from pathlib import Path

from paddock.local.problems import LocalError

_ROOT = Path("/sys/fs/cgroup")
_NEEDED = ("cpu", "cpuset", "memory", "pids", "hugetlb")
_SECONDS = 20.0
_POLL = 0.05


def control_group(cluster: str) -> str:
    """Name the control group of a cluster."""
    return f"paddock-{cluster}"


def make_control_groups(name: str) -> None:
    """Make the group under every version-1 controller, or once under version 2."""
    if _is_unified():
        _delegate(_ROOT)
        (_ROOT / name).mkdir(exist_ok=True)
        return
    for controller in _ROOT.iterdir():
        if controller.is_dir() and not controller.is_symlink() and controller.name != "unified":
            (controller / name).mkdir(exist_ok=True)
            _inherit_cpuset(controller, controller / name)


def remove_control_groups(name: str) -> None:
    """Remove the groups, once the kernel has let the last process of them go."""
    deadline = time.monotonic() + _SECONDS
    while left := [group for group in _groups(name) if not _removed(group)]:
        if time.monotonic() > deadline:
            raise LocalError(f"The control group {left[0]} is still in use; run `down` again.")
        time.sleep(_POLL)


def _is_unified() -> bool:
    return (_ROOT / "cgroup.controllers").exists()


def _groups(name: str) -> Iterable[Path]:
    """Return the group itself wherever it is: at the root (version 2), or one level below."""
    return [group for group in (_ROOT / name, *_ROOT.glob(f"*/{name}")) if group.exists()]


def _removed(group: Path) -> bool:
    inner = [folder for folder in group.rglob("*") if folder.is_dir()]
    try:
        for folder in (*sorted(inner, reverse=True), group):
            folder.rmdir()
    except FileNotFoundError:
        return not group.exists()  # seen through the other name of a joint controller
    except OSError:
        return False
    return True


def _delegate(root: Path) -> None:
    """Let groups below the root have the controllers that a kubelet demands (systemd does too)."""
    offered = (root / "cgroup.controllers").read_text().split()
    passed_on = (root / "cgroup.subtree_control").read_text().split()
    for controller in _NEEDED:
        if controller in offered and controller not in passed_on:
            (root / "cgroup.subtree_control").write_text(f"+{controller}")


def _inherit_cpuset(parent: Path, child: Path) -> None:
    """Give a version-1 cpuset its processors, or nothing may run in it."""
    for file in ("cpuset.cpus", "cpuset.mems"):
        if (child / file).exists() and not (child / file).read_text().strip():
            (child / file).write_text((parent / file).read_text())
