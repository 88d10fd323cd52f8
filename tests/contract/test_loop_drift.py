"""Every owned field of every child kind, as a real apiserver keeps it: one change is one drift."""

from collections.abc import Iterator
from typing import Any

import pytest

from contract.test_settled import applied, wanted_objects
from paddock.facts import Children
from paddock.kube.real import RealCluster
from paddock.plan.changes import plan_changes

pytestmark = pytest.mark.contract
Path = tuple[str | int, ...]
UNTOUCHABLE = {("apiVersion",), ("kind",), ("metadata", "name"), ("metadata", "namespace")}
"""What names an object cannot drift."""


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield every scalar that says something; the server may drop what is empty."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from leaves(each, (*path, key))
    elif isinstance(value, list | tuple):
        for index, each in enumerate(value):
            yield from leaves(each, (*path, index))
    elif value not in (None, ""):
        yield path, value


def changed(value: Any, path: Path, new: Any) -> Any:
    """Return the value with the one at the path changed, or removed if new is None."""
    if not path:
        return new
    key, rest = path[0], path[1:]
    if isinstance(value, dict):
        inner = changed(value[key], rest, new)
        return {
            k: inner if k == key else v for k, v in value.items() if k != key or inner is not None
        }
    inner = changed(value[key], rest, new)
    return [inner if i == key else v for i, v in enumerate(value) if i != key or inner is not None]


def other(value: Any) -> Any:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else f"{value}x"


def located(live: Any, wanted: Any, path: Path) -> Path:
    """Return where a leaf of the wanted object stands in the live one: lists may be reordered."""
    found: list[str | int] = []
    for key in path:
        if isinstance(key, int) and isinstance(wanted[key], dict) and "name" in wanted[key]:
            names = [each.get("name") for each in live]
            key = names.index(wanted[key]["name"])  # noqa: PLW2901 - the live index replaces ours
            wanted = next(each for each in wanted if each.get("name") == names[key])
        else:
            wanted = wanted[key]
        live = live[key]
        found.append(key)
    return tuple(found)


async def test_change_or_loss_of_any_owned_field_is_seen(
    cluster: RealCluster, namespace: str
) -> None:
    wanted = wanted_objects(namespace)
    children = await applied(cluster, wanted)
    missed, tried = [], 0
    for manifest in wanted:
        name = (str(manifest["kind"]), str(manifest["metadata"]["name"]))  # type: ignore[index,call-overload]  # raw JSON
        live: Any = children.manifests[name]
        for path, value in leaves(manifest):
            if path in UNTOUCHABLE:
                continue
            try:
                place = located(live, manifest, path)
            except (KeyError, IndexError):
                assert value in (False, 0, ""), (name, path, value)
                continue
            for new in (other(value), None):
                tried += 1
                drifted = Children({name: changed(live, place, new)})
                plan = plan_changes([manifest], drifted)
                if not plan.changes and not plan.refusals:
                    missed.append((*name, path, new))
    assert missed == []
    assert tried > 500
