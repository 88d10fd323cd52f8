"""Typed reading of raw Kubernetes objects: absent or wrongly typed reads as nothing, never raises.

Pure, a leaf. The apiserver's answers are well-formed; this keeps the checker strict without casts.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime

from paddock.clock import parse_rfc3339
from paddock.wire import Json


def at(value: Json, *path: str) -> Json:
    """Return what stands at a path of mappings, or None."""
    for step in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def mapping(value: Json, *path: str) -> Mapping[str, Json]:
    """Return the mapping at a path, or an empty one."""
    found = at(value, *path)
    return found if isinstance(found, Mapping) else {}


def text(value: Json, *path: str) -> str | None:
    """Return the string at a path, or None."""
    found = at(value, *path)
    return found if isinstance(found, str) else None


def number(value: Json, *path: str) -> int:
    """Return the integer at a path, or 0, which is how Kubernetes omits zero."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else 0


def flag(value: Json, *path: str) -> bool:
    """Return whether the boolean at a path is true."""
    return at(value, *path) is True


def items(value: Json, *path: str) -> Iterator[Mapping[str, Json]]:
    """Yield the mappings of the list at a path."""
    found = at(value, *path)
    if isinstance(found, list | tuple):
        yield from (item for item in found if isinstance(item, Mapping))


def texts(value: Json, *path: str) -> tuple[str, ...]:
    """Return the strings of the list at a path."""
    found = at(value, *path)
    if not isinstance(found, list | tuple):
        return ()
    return tuple(item for item in found if isinstance(item, str))


def moment(value: Json, *path: str) -> datetime | None:
    """Return the time at a path, or None."""
    found = text(value, *path)
    return parse_rfc3339(found) if found else None


def named(value: Json, key: str, wanted: str, *path: str) -> Mapping[str, Json]:
    """Return the first mapping of the list at a path whose key has the wanted value, or empty."""
    return next((item for item in items(value, *path) if item.get(key) == wanted), {})
