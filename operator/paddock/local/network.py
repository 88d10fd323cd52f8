"""The node's network: a namespace of its own, one cable to the host, and routes into it.

Everything the node adds (pod cables, chains of kube-proxy) lives in the namespace and ends with it.
On the host there are the cable and two routes, which end with the cable, and `egress`.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from paddock.local.addresses import Addresses
from paddock.local.host_tools import ip

_NAMESPACES = Path("/run/netns")


@dataclass(frozen=True, slots=True)
class Network:
    """The namespace and cable of one cluster; `index` is the cluster's number."""

    cluster: str
    index: int
    addresses: Addresses

    @property
    def namespace(self) -> str:
        """Return the network namespace's name."""
        return f"paddock-{self.cluster}"

    @property
    def cable(self) -> str:
        """Return the name of the cable's end on the host."""
        return f"paddock{self.index}"

    def up(self) -> None:
        """Make the namespace, the cable and the routes; a half-made network is made anew."""
        if self._is_whole():
            return
        self.down()
        inside, link = self.namespace, self.addresses.link.partition("/")[2]
        ip("netns", "add", inside)
        peer = ("peer", "name", "eth0", "netns", inside)
        ip("link", "add", self.cable, "type", "veth", *peer)
        ip("address", "add", f"{self.addresses.host}/{link}", "dev", self.cable)
        ip("link", "set", self.cable, "up")
        for arguments in (
            ["address", "add", f"{self.addresses.node}/{link}", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
            ["route", "add", "default", "via", self.addresses.host],
        ):
            ip("-n", inside, *arguments)
        for name in ("ip_forward", "conf/all/route_localnet"):
            setting = f"/proc/sys/net/ipv4/{name}"
            ip("netns", "exec", inside, "tee", setting, stdin="1")
        for target in self._routes():
            ip("route", "add", target, "via", self.addresses.node, "dev", self.cable)

    def down(self) -> None:
        """Remove the namespace and all in it; the cable and its routes go with it."""
        if (_NAMESPACES / self.namespace).exists():
            ip("netns", "delete", self.namespace)

    def _routes(self) -> tuple[str, str]:
        return (self.addresses.pods, self.addresses.services)

    def _is_whole(self) -> bool:
        """Return whether even the last thing that `up` makes is there."""
        named = (_NAMESPACES / self.namespace).exists()
        return named and host_routes(self.cable) >= set(self._routes())


def host_routes(device: str | None = None) -> set[str]:
    """Return the destinations of the host's IPv4 routes, all or of one device."""
    routes = json.loads(ip("-j", "-4", "route", "show", "table", "all") or "[]")
    return {route["dst"] for route in routes if device in (None, route.get("dev"))}
