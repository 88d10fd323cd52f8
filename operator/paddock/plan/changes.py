"""Wanted against live: which objects to apply and which to delete.

Pure. A wanted object is stamped with the hash of itself; it is applied only when the live object
lacks that stamp or no longer contains what is wanted. So a settled object costs no request, and a
field removed from our wish is noticed as well as a field changed by somebody else.
"""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from paddock import names
from paddock.api.reasons import Reason
from paddock.facts import Apply, Change, Children, Delete, Refusal
from paddock.kinds import BY_KIND
from paddock.plan.quantity import quantity
from paddock.wire import Json, Manifest

_MERGE_KEYS = ("name", "mountPath", "containerPort", "port", "topologyKey", "uid", "type", "key")
_HASH = 16


@dataclass(frozen=True, slots=True)
class ChangePlan:
    """What to write, and what we must not touch."""

    changes: tuple[Change, ...] = ()
    refusals: tuple[Refusal, ...] = ()


def plan_changes(
    wanted: Sequence[Manifest], children: Children, *, prune: Collection[str] = ()
) -> ChangePlan:
    """Return the changes that make the children what is wanted.

    `prune` names the kinds whose children are deleted when no longer wanted.
    """
    changes: list[Change] = []
    refusals: list[Refusal] = []
    for manifest in wanted:
        live = children.manifests.get(_identity(manifest))
        if live is not None and _is_foreign(manifest, live):
            refusals.append(_conflict(manifest))
        elif live is None or not _is_settled(stamped(manifest), live):
            changes.append(Apply(stamped(manifest)))
    kept = {_identity(manifest) for manifest in wanted}
    for identity, live in children.manifests.items():
        if identity[0] in prune and identity not in kept and not _is_deleting(live):
            changes.append(_deletion(live))
    return ChangePlan(tuple(changes), tuple(refusals))


def stamped(manifest: Manifest) -> Manifest:
    """Return the manifest with the hash of itself as an annotation."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH]
    metadata = _mapping(manifest, "metadata")
    annotations = {**_mapping(metadata, "annotations"), names.APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _mapping(value: Json, key: str) -> Mapping[str, Json]:
    found = value.get(key) if isinstance(value, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _identity(manifest: Manifest) -> tuple[str, str]:
    return str(manifest["kind"]), str(_mapping(manifest, "metadata")["name"])


def _label(manifest: Manifest, name: str) -> Json:
    return _mapping(_mapping(manifest, "metadata"), "labels").get(name)


def _is_foreign(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether the live object is not ours to change.

    Ours is what carries our manager label and either this owner's uid or none: a kept claim has no
    owner, and is found again by its model's name.
    """
    if _label(live, names.MANAGED_BY_LABEL) != names.MANAGED_BY:
        return True
    owner = _label(live, names.OWNER_UID_LABEL)
    if owner is None or _label(wanted, names.OWNER_UID_LABEL) is None:
        return _label(live, names.MODEL_LABEL) != _label(wanted, names.MODEL_LABEL)
    return owner != _label(wanted, names.OWNER_UID_LABEL)


def _is_settled(wanted: Manifest, live: Manifest) -> bool:
    return not _is_deleting(live) and contains(live, wanted)


def _is_deleting(live: Manifest) -> bool:
    return _mapping(live, "metadata").get("deletionTimestamp") is not None


def _conflict(manifest: Manifest) -> Refusal:
    kind, name = _identity(manifest)
    return Refusal(
        f"{kind}/{name}",
        Reason.NAME_CONFLICT,
        f"A {kind} named {name} exists and is not ours; rename or remove it.",
    )


def _deletion(live: Manifest) -> Delete:
    metadata = _mapping(live, "metadata")
    return Delete(
        BY_KIND[str(live["kind"])],
        str(metadata["namespace"]),
        str(metadata["name"]),
        str(metadata["uid"]),
        str(metadata["resourceVersion"]),
    )


def contains(live: Json, wanted: Json) -> bool:
    """Tell whether the live value holds everything wanted; what the server added is ignored."""
    if isinstance(wanted, Mapping):
        return _contains_mapping(live, wanted)
    if isinstance(wanted, list | tuple):
        return _contains_list(live, wanted)
    return live == wanted or quantity(live) == quantity(wanted) is not None


def _contains_mapping(live: Json, wanted: Mapping[str, Json]) -> bool:
    if not isinstance(live, Mapping):
        return live is None and _is_empty(wanted)
    return all(
        contains(live[key], value) if key in live else _is_empty(value)
        for key, value in wanted.items()
    )


def _is_empty(value: Json) -> bool:
    """Tell whether the server may drop the value: nothing, or nothing but nothing."""
    if isinstance(value, Mapping):
        return all(_is_empty(each) for each in value.values())
    return value is None or value in ([], (), 0, False, "")


def _contains_list(live: Json, wanted: Sequence[Json]) -> bool:
    if not isinstance(live, list | tuple):
        return live is None and not wanted
    if len(live) < len(wanted):
        return False
    key = _merge_key(wanted)
    if key is None:
        return len(live) == len(wanted) and all(map(contains, live, wanted))
    found = {item.get(key): item for item in live if isinstance(item, Mapping)}
    return all(
        isinstance(item, Mapping) and contains(found.get(item[key]), item) for item in wanted
    )


def _merge_key(items: Sequence[Json]) -> str | None:
    """Return the key by which Kubernetes merges such a list, if its items have one."""
    for key in _MERGE_KEYS:
        values = [item.get(key) for item in items if isinstance(item, Mapping)]
        if (
            len(values) == len(items)
            and None not in values
            and len(set(map(str, values))) == len(values)
        ):
            return key
    return None
