"""Whether a live value holds everything that is wanted of it. Pure.

Follows the list types of server-side apply: items of a keyed list may have strangers beside them,
which somebody else owns; every other list is ours as a whole, so that one more tolerated port or
peer in it counts as drift. What the server fills in or leaves out is no drift.
"""

from collections.abc import Mapping, Sequence

from paddock.plan.quantity import quantity
from paddock.wire import Json

_KEYED = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "imagePullSecrets": ("name",),
    "volumeMounts": ("mountPath",),
    "ports": ("port", "containerPort", "protocol"),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
}
"""Lists that Kubernetes merges by these keys; all others are replaced as a whole."""
_SELECTORS = frozenset(
    {"selector", "podSelector", "namespaceSelector", "labelSelector", "nodeSelector"}
)
"""Mappings that mean something else with one more key."""
_QUANTITIES = frozenset({"limits", "requests"})
_FILLED_IN: tuple[tuple[str, Json], ...] = (("protocol", "TCP"), ("status", "True"))
"""What the server adds to items of lists that are ours as a whole."""
_LEFT_OUT: tuple[tuple[str, Json], ...] = (("value", ""), ("readOnly", False))
"""What the server does not keep, because absent means the same."""


def contains(live: Json, wanted: Json) -> bool:
    """Tell whether the live value holds everything wanted; what others added is ignored."""
    return _contains(live, wanted, "", whole=False)


def _contains(live: Json, wanted: Json, field: str, *, whole: bool) -> bool:
    if isinstance(wanted, Mapping):
        return _contains_mapping(live, wanted, field, whole=whole)
    if isinstance(wanted, list | tuple):
        return _contains_list(live, wanted, field, whole=whole)
    return live == wanted and isinstance(live, bool) == isinstance(wanted, bool)


def _contains_mapping(live: Json, wanted: Mapping[str, Json], field: str, *, whole: bool) -> bool:
    if not isinstance(live, Mapping):
        return live is None and is_empty(wanted)
    if whole and not _adds_only_defaults(live, wanted):
        return False
    return all(
        _holds(live, key, value, field, whole=whole)
        for key, value in wanted.items()
        if key in live or not ((key, value) in _LEFT_OUT or is_empty(value))
    )


def _holds(live: Mapping[str, Json], key: str, value: Json, field: str, *, whole: bool) -> bool:
    if key not in live:
        return False
    if field in _QUANTITIES or key == "sizeLimit":
        return live[key] == value or quantity(live[key]) == quantity(value) is not None
    return _contains(live[key], value, key, whole=whole or key in _SELECTORS)


def _adds_only_defaults(live: Mapping[str, Json], wanted: Mapping[str, Json]) -> bool:
    return all(key in wanted or (key, value) in _FILLED_IN for key, value in live.items())


def is_empty(value: Json) -> bool:
    """Tell whether the server may drop the value: nothing, or nothing but nothing."""
    if isinstance(value, Mapping):
        return all(is_empty(each) for each in value.values())
    return value is None or (isinstance(value, list | tuple) and not value)


def _contains_list(live: Json, wanted: Sequence[Json], field: str, *, whole: bool) -> bool:
    if not isinstance(live, list | tuple):
        return live is None and not wanted
    keys = _KEYED.get(field, ())
    wishes = {_identity(item, keys): item for item in wanted}
    if whole or not keys or len(wishes) < len(wanted):
        same = len(live) == len(wanted)
        return same and all(
            _contains(is_, should, "", whole=True) for is_, should in zip(live, wanted, strict=True)
        )
    found = {_identity(item, keys): item for item in live}
    return all(
        identity in found and _contains(found[identity], item, "", whole=False)
        for identity, item in wishes.items()
    )


def _identity(item: Json, keys: Sequence[str]) -> tuple[str, ...]:
    """Return what tells an item of a keyed list from the others."""
    if not isinstance(item, Mapping):
        return (str(item),)
    return tuple(str(item.get(key, "TCP" if key == "protocol" else "")) for key in keys)
