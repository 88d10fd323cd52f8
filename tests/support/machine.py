"""What a machine looks like from outside: compared before and after a cluster."""

from collections.abc import Mapping
from pathlib import Path

from paddock.local.addresses import addresses_of
from paddock.local.folders import clusters_folder
from paddock.local.host_tools import ip, nft
from paddock.local.node_config import KERNEL_SETTINGS

_TESTS = "/pytest-of-"  # where tests that run beside keep their mounts


def picture_of_machine(own: str) -> Mapping[str, frozenset[str]]:
    """Return processes, mounts, network, rules, groups and settings, less other clusters'."""
    others = [_TESTS, *_marks_of_others(own)]
    lines = {
        "processes": _processes(),
        "mounts": _mounts(),
        "links": [line.split(": ")[1] for line in ip("-o", "link").splitlines()],
        "routes": ip("route", "show", "table", "all").splitlines(),
        "namespaces": ip("netns", "list").splitlines(),
        "rules": nft("list", "ruleset").splitlines(),
        "control groups": [str(each) for each in Path("/sys/fs/cgroup").glob("**/paddock*")],
        "settings": [_setting(name) for name in (*KERNEL_SETTINGS, "net/ipv4/ip_forward")],
        "clusters": [str(each) for each in clusters_folder().glob("*")],
        "opt": [str(each) for each in Path("/opt").glob("*")],
    }
    return {
        subject: frozenset(each for each in found if not any(mark in each for mark in others))
        for subject, found in lines.items()
    }


def _marks_of_others(own: str) -> list[str]:
    marks = []
    for record in clusters_folder().glob("*/index"):
        name, index = record.parent.name, int(record.read_text())
        if name != own:
            addresses = addresses_of(index)
            ranges = [each.rpartition(".")[0] + "." for each in addresses.ranges]
            marks += [f"paddock-{name}", f"paddock{index}", f"clusters/{name}", *ranges]
    return marks


def _processes() -> list[str]:
    """Return what runs for any cluster, told by its command or by its starter's mark."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        owner = b"".join(each for each in variables if each.startswith(b"PADDOCK_STATE_FOLDER="))
        if b"/clusters/" in owner or "paddock/clusters/" in words:
            found.append(f"{process.name} {owner.decode()} {words}")
    return found


def _mounts() -> list[str]:
    return [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def _setting(name: str) -> str:
    return f"{name}={Path('/proc/sys', name).read_text().strip()}"
