"""The node's network: a namespace of its own, one cable to the host, and routes into it.

Everything the node adds (bridge, chains, pod cables) lives in the namespace and ends with it. On
the host there are the cable and two routes, which end with the cable.
"""

from dataclasses import dataclass
from pathlib import Path

from paddock.local.control_plane import POD_RANGE, SERVICE_RANGE
from paddock.local.processes import run

HOST_ADDRESS = "10.87.0.1"
NODE_ADDRESS = "10.87.0.2"
_PREFIX = 30
_INTERFACE_LIMIT = 15


@dataclass(frozen=True, slots=True)
class Network:
    """The namespace and cable of one cluster."""

    cluster: str

    @property
    def namespace(self) -> str:
        """Return the network namespace's name."""
        return f"paddock-{self.cluster}"

    @property
    def _host_side(self) -> str:
        return f"pdk-{self.cluster}"[:_INTERFACE_LIMIT]

    def exists(self) -> bool:
        """Return whether the namespace is there."""
        return Path("/run/netns", self.namespace).exists()

    def up(self) -> None:
        """Make the namespace, the cable and the routes, unless they are there."""
        if self.exists():
            return
        inside, host = self.namespace, self._host_side
        run(["ip", "netns", "add", inside])
        run(["ip", "link", "add", host, "type", "veth", "peer", "name", "eth0", "netns", inside])
        run(["ip", "address", "add", f"{HOST_ADDRESS}/{_PREFIX}", "dev", host])
        run(["ip", "link", "set", host, "up"])
        for arguments in (
            ["address", "add", f"{NODE_ADDRESS}/{_PREFIX}", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
            ["route", "add", "default", "via", HOST_ADDRESS],
        ):
            run(["ip", "-n", inside, *arguments])
        for name in ("ipv4.ip_forward=1", "ipv4.conf.all.route_localnet=1"):
            run(["ip", "netns", "exec", inside, "sysctl", "-q", "-w", f"net.{name}"])
        for target in (POD_RANGE, SERVICE_RANGE):
            run(["ip", "route", "add", target, "via", NODE_ADDRESS, "dev", host])

    def down(self) -> None:
        """Remove the namespace and all in it; the cable and its routes go with it."""
        if self.exists():
            run(["ip", "netns", "delete", self.namespace])
