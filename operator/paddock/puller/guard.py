"""The network guard: which addresses a pull may connect to, checked where the connection is made.

Every host is resolved here, refused when any of its addresses is not public (unless the
administrator allows the range), and then connected by that very address, so that a name cannot
change its mind between check and use.
"""

import functools
import http.client
import ipaddress
import socket
import ssl
from collections.abc import Sequence

from paddock.api.pull import Access, PullReason
from paddock.puller.problems import PullError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
CONNECT_SECONDS = 5.0
STALL_SECONDS = 60.0
_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that is the public internet; the rest is local, mapped or translated."""
_SPECIAL = tuple(
    ipaddress.ip_network(network)
    for network in (
        "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4",
        "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
    )
)  # fmt: skip
"""What older Pythons take for public, and tunnels to other addresses."""


def is_public(address: Address) -> bool:
    """Tell whether an address is on the public internet and stands for nothing else."""
    if address.version == _UNICAST.version and address not in _UNICAST:
        return False
    special = any(address in each for each in _SPECIAL if each.version == address.version)
    return address.is_global and not address.is_multicast and not special


def is_allowed(address: Address, access: Access) -> bool:
    """Tell whether a pull may connect to this address."""
    if is_public(address):
        return True
    ranges = (ipaddress.ip_network(cidr) for cidr in access.cidrs)
    return any(address in each for each in ranges if each.version == address.version)


def check_host(host: str, access: Access) -> None:
    """Refuse a host that is not on the administrator's list, where there is one."""
    if access.hosts and not any(
        host == allowed or host.endswith(f".{allowed.removeprefix('*.')}")
        for allowed in access.hosts
    ):
        raise PullError(
            PullReason.SOURCE_FORBIDDEN,
            f"The administrator does not allow pulls from {host}; ask for it to be added.",
        )


def resolve(host: str, port: int, access: Access) -> Sequence[str]:
    """Return the addresses to connect to; refuse if the name stands for any forbidden one."""
    check_host(host, access)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise PullError(
            PullReason.SOURCE_UNREACHABLE, f"The name {host} does not resolve."
        ) from error
    addresses = [str(entry[4][0]).partition("%")[0] for entry in found]
    for address in addresses:
        if not is_allowed(ipaddress.ip_address(address), access):
            raise PullError(
                PullReason.SOURCE_FORBIDDEN,
                f"{host} is at {address}, which is not a public address; the administrator can "
                "allow its range.",
            )
    return addresses


@functools.cache
def _trusted() -> ssl.SSLContext:
    """Return the one context: reading the machine's authorities takes longer than a handshake."""
    return ssl.create_default_context()


class GuardedConnection(http.client.HTTPSConnection):
    """An HTTP connection to a checked address; TLS still verifies the host's name."""

    def __init__(self, scheme: str, host: str, port: int, access: Access) -> None:
        super().__init__(host, port, timeout=STALL_SECONDS, context=_trusted())
        self._tls = scheme == "https"
        self._access = access
        if not self._tls:
            self.default_port = 80

    def connect(self) -> None:
        """Resolve, check and connect; the first address that answers wins."""
        self.sock = self._connected(resolve(self.host, self.port, self._access))
        self.sock.settimeout(STALL_SECONDS)
        if self._tls:
            self.sock = _trusted().wrap_socket(self.sock, server_hostname=self.host)

    def _connected(self, addresses: Sequence[str]) -> socket.socket:
        last: OSError | None = None
        for address in addresses:
            try:
                return socket.create_connection((address, self.port), CONNECT_SECONDS)
            except OSError as error:
                last = error
        raise PullError(
            PullReason.SOURCE_UNREACHABLE, f"{self.host} does not accept connections."
        ) from last
