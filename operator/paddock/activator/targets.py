"""The pool a request is for, and where its engines are: read from a header and EndpointSlices.

Pure.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from paddock import names
from paddock.wire import Json, Manifest

_LABEL = r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?"
_HEADER = re.compile(rf"({_LABEL})/({_LABEL}(?:\.{_LABEL})*)")
_LONGEST = 320


@dataclass(frozen=True, slots=True)
class Target:
    """One pool."""

    namespace: str
    name: str

    @property
    def child(self) -> str:
        """Return the name of its Deployment and its Service."""
        return names.pool_child_name(self.name)

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


def target_of(header: str | None) -> Target | None:
    """Return the pool that the header names, if it names one."""
    if header is None or len(header) > _LONGEST:
        return None
    found = _HEADER.fullmatch(header)
    return Target(found[1], found[2]) if found else None


def addresses_of(slices: Iterable[Manifest]) -> tuple[str, ...]:
    """Return HOST:PORT of every engine that is there and not ending, ready or not.

    A pod has its address before the kubelet calls it ready; whether it answers is asked of itself.
    """
    found = set()
    for each in slices:
        port = _port(each)
        for endpoint in _items(each, "endpoints"):
            conditions = endpoint.get("conditions")
            ending = isinstance(conditions, Mapping) and conditions.get("terminating") is True
            if port is not None and not ending:
                found |= {_joined(host, port) for host in _hosts(endpoint)}
    return tuple(sorted(found))


def hosts_of(slices: Iterable[Manifest]) -> frozenset[str]:
    """Return the address of every pod behind a Service, whatever its state."""
    return frozenset(
        host
        for each in slices
        for endpoint in _items(each, "endpoints")
        for host in _hosts(endpoint)
    )


def _port(manifest: Manifest) -> int | None:
    ports = _items(manifest, "ports")
    named = [each for each in ports if each.get("name") == names.ENGINE_PORT_NAME]
    number = next((each.get("port") for each in named), None)
    return number if isinstance(number, int) else None


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _hosts(endpoint: Mapping[str, Json]) -> list[str]:
    addresses = endpoint.get("addresses")
    return [str(each) for each in addresses] if isinstance(addresses, Sequence) else []


def _items(value: Manifest, key: str) -> list[Mapping[str, Json]]:
    found = value.get(key)
    return [each for each in found if isinstance(each, Mapping)] if isinstance(found, list) else []
