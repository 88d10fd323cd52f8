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
from paddock.kinds import CLAIMS, INFERENCE_POOLS, kind_of
from paddock.plan.containment import contains
from paddock.raw import items, mapping
from paddock.wire import Json, Manifest

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
        if live is not None and is_foreign(manifest, live):
            refusals.append(conflict(manifest))
        elif live is None or not (is_deleting(live) or contains(live, stamped(manifest))):
            changes.append(Apply(stamped(manifest)))
    kept = {_identity(manifest) for manifest in wanted}
    owner = next((_label(each, names.OWNER_UID_LABEL) for each in wanted), None)
    for identity, live in children.manifests.items():
        if identity[0] in prune and identity not in kept and _may_prune(live, owner):
            changes.append(_deletion(live))
    return ChangePlan(tuple(changes), tuple(refusals))


def stamped(manifest: Manifest) -> Manifest:
    """Return the manifest with the hash of itself as an annotation."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()[:_HASH]
    metadata = mapping(manifest, "metadata")
    annotations = {**mapping(metadata, "annotations"), names.APPLIED_ANNOTATION: digest}
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _identity(manifest: Manifest) -> tuple[str, str]:
    return str(manifest["kind"]), str(mapping(manifest, "metadata")["name"])


def _label(manifest: Manifest, name: str) -> Json:
    return mapping(mapping(manifest, "metadata"), "labels").get(name)


def _may_prune(live: Manifest, owner: Json) -> bool:
    """Tell whether a child that is no longer wanted is ours to delete: it bears our uid."""
    ours = _label(live, names.MANAGED_BY_LABEL) == names.MANAGED_BY
    return (
        ours
        and not is_deleting(live)
        and owner is not None
        and _label(live, names.OWNER_UID_LABEL) == owner
    )


def is_foreign(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether the live object is not ours to change: it lacks our owner's uid.

    A kept claim has no owner, and is found again by the model label.
    """
    if _label(live, names.MANAGED_BY_LABEL) != names.MANAGED_BY:
        return True
    owners = _label(live, names.OWNER_UID_LABEL), _label(wanted, names.OWNER_UID_LABEL)
    if wanted["kind"] == CLAIMS.kind and None in owners:
        return _label(live, names.MODEL_LABEL) != _label(wanted, names.MODEL_LABEL)
    return owners[0] is None or owners[0] != owners[1]


def is_leftover(wanted: Manifest, live: Manifest) -> bool:
    """Tell whether the live object is of a deleted owner that had the name of ours.

    The garbage collector takes it in a moment: no conflict to be told of. One that was orphaned on
    purpose has lost its reference, and is a stranger.
    """
    if _label(live, names.MANAGED_BY_LABEL) != names.MANAGED_BY:
        return False
    owners = items(wanted, "metadata", "ownerReferences")
    uids = {_role(each): each.get("uid") for each in owners}
    return any(
        uids.get(_role(each), each.get("uid")) != each.get("uid")
        for each in items(live, "metadata", "ownerReferences")
    )


def _role(owner: Mapping[str, Json]) -> tuple[Json, ...]:
    return tuple(owner.get(each) for each in ("apiVersion", "kind", "name"))


def is_deleting(live: Manifest) -> bool:
    """Tell whether an object is on its way out: nothing is written to it, its end wakes us."""
    return mapping(live, "metadata").get("deletionTimestamp") is not None


def conflict(manifest: Manifest) -> Refusal:
    """Word that the name of a wanted child is taken by an object that is not ours."""
    kind, name = _identity(manifest)
    what = (
        f"An {kind} of {kind_of(manifest).group}" if kind == INFERENCE_POOLS.kind else f"A {kind}"
    )
    return Refusal(
        f"{kind}/{name}",
        Reason.NAME_CONFLICT,
        f"{what} named {name} exists and is not ours; rename or remove it.",
    )


def _deletion(live: Manifest) -> Delete:
    metadata = mapping(live, "metadata")
    return Delete(
        kind_of(live),
        str(metadata["namespace"]),
        str(metadata["name"]),
        str(metadata["uid"]),
        str(metadata["resourceVersion"]),
    )
