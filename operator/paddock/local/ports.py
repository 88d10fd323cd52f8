"""Ports of this machine for servers that are started and must be told their port.

They are from below the range from which Linux takes the local ports of outgoing connections
(32768 and up): one from within it can be taken by anybody's connection between the choice
and the server's start. They are also below Kubernetes's node ports (30000 and up).
"""

import random
import socket

from paddock.local.problems import LocalError

_PORTS = range(20_000, 30_000)
_untried = random.sample(_PORTS, len(_PORTS))


def free_ports(count: int) -> list[int]:
    """Choose ports that nobody listens on and that this process has not chosen before."""
    return [_free_port() for _ in range(count)]


def _free_port() -> int:
    while _untried:
        port = _untried.pop()
        try:
            with socket.create_server(("", port)):
                return port
        except OSError:  # somebody has it
            continue
    raise LocalError(f"no port from {_PORTS.start} to {_PORTS.stop - 1} is free on this machine")
