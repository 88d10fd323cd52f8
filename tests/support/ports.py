"""A port of this machine that nobody listens on."""

from paddock.local.ports import free_ports


def free_port() -> int:
    return free_ports(1)[0]
