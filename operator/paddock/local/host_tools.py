"""The programs of Linux that the cluster calls: the machine's own `ip`, else Debian's, unpacked.

iptables, conntrack, nftables and the network plugins always come from the cache, so that the node
has the same everywhere.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path

from paddock.local import debian
from paddock.local.processes import run

_PACKAGES = ("iptables", "conntrack", "nftables", "iproute2", "containernetworking-plugins")


def unpacked_tools() -> debian.Tools:
    """Return the unpacked programs."""
    return debian.tools("node", _PACKAGES)


def node_path() -> tuple[Path, ...]:
    """Return the folders in which kubelet and kube-proxy find iptables and conntrack."""
    tools = unpacked_tools()
    links = tools.root / "usr/local/sbin"
    links.mkdir(parents=True, exist_ok=True)
    for family in ("iptables", "ip6tables"):
        for suffix in ("", "-save", "-restore"):
            link = links / f"{family}{suffix}"
            if not link.is_symlink():
                link.symlink_to(tools.program("xtables-nft-multi"))
    return (links, *tools.path)


def node_env() -> Mapping[str, str]:
    """Return the environment in which the unpacked programs find their libraries."""
    tools = unpacked_tools()
    plugins = tools.root / "usr/lib" / debian.multiarch() / "xtables"
    return {**tools.env, "XTABLES_LIBDIR": str(plugins)}


def network_plugins() -> Path:
    """Return the folder of the container network plugins."""
    return unpacked_tools().root / "usr/lib/cni"


def ip(*arguments: str, stdin: str | None = None) -> str:
    """Run `ip`."""
    return _tool("ip", *arguments, stdin=stdin)


def nft(*arguments: str, stdin: str | None = None) -> str:
    """Run `nft`."""
    return _tool("nft", *arguments, stdin=stdin)


def _tool(name: str, *arguments: str, stdin: str | None) -> str:
    if own := shutil.which(name):
        return run([own, *arguments], stdin=stdin)
    tools = unpacked_tools()
    return run([tools.program(name), *arguments], env=tools.env, stdin=stdin)
