"""Which private addresses a cluster uses, so that several fit on one machine. Pure.

One number tells them all; `cluster` records it and never changes it while the cluster exists.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

from paddock.local.problems import LocalError

COUNT = 16
"""How many clusters one machine can hold."""
_BROAD = 12
"""A host route less specific than this (a VPN's, the default) yields to ours without harm."""


@dataclass(frozen=True, slots=True)
class Addresses:
    """The two ends of the cable between host and node, and the ranges behind it."""

    host: str
    node: str
    link: str
    pods: str
    services: str

    @property
    def service_api(self) -> str:
        """Return the address of the Service `kubernetes`: the first of the range."""
        return str(next(ipaddress.ip_network(self.services).hosts()))

    @property
    def ranges(self) -> tuple[str, ...]:
        """Return every range that must be free on the machine."""
        return (self.link, self.pods, self.services)


LOOPBACK = Addresses(
    host="127.0.0.1",
    node="127.0.0.1",
    link="127.0.0.0/8",
    pods="10.88.0.0/16",
    services="10.96.0.0/16",
)
"""For a control plane alone: nothing is routed."""


def addresses_of(index: int) -> Addresses:
    """Return the addresses of the cluster with this number."""
    return Addresses(
        host=f"10.87.{index}.1",
        node=f"10.87.{index}.2",
        link=f"10.87.{index}.0/30",
        pods=f"10.88.{index}.0/24",
        services=f"10.96.{index * 16}.0/20",
    )


def choose_index(routes: Iterable[str], taken: Iterable[int]) -> int:
    """Return the first number that no other cluster has and no route of the host overlaps."""
    networks = [network for route in routes if (network := _network(route)) is not None]
    others = set(taken)
    for index in range(COUNT):
        if index not in others and not _overlaps(addresses_of(index), networks):
            return index
    raise LocalError(
        f"No free addresses: {len(others)} clusters exist and this machine's routes use the rest "
        "of 10.87.0.0/20, 10.88.0.0/20 and 10.96.0.0/16. End a cluster with `paddock down`."
    )


def _network(route: str) -> ipaddress.IPv4Network | None:
    """Return a route's network; the default, broad and IPv6 routes count as none."""
    try:
        network = ipaddress.ip_network(route)
    except ValueError:
        return None
    if isinstance(network, ipaddress.IPv6Network) or network.prefixlen < _BROAD:
        return None
    return network


def _overlaps(addresses: Addresses, networks: Iterable[ipaddress.IPv4Network]) -> bool:
    own = [ipaddress.IPv4Network(each) for each in addresses.ranges]
    return any(mine.overlaps(other) for mine in own for other in networks)
