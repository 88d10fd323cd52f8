"""Labels and owner references that every child carries.

Pure. The owner-uid label tells our own children from strangers of the same name.
"""

from paddock import names
from paddock.api.base import ObjectMeta
from paddock.facts import Kind
from paddock.wire import Json


def child_labels(
    owner: ObjectMeta, kind: Kind, component: str, *, name: str = "paddock"
) -> dict[str, Json]:
    """Return the labels of one child; `component` is its role, such as engine or pull."""
    owner_label = names.MODEL_LABEL if kind.kind == names.LOCAL_MODEL else names.POOL_LABEL
    return {
        names.NAME_LABEL: name,
        names.MANAGED_BY_LABEL: names.MANAGED_BY,
        names.COMPONENT_LABEL: component,
        names.INSTANCE_LABEL: names.fitted_name(owner.name),
        owner_label: names.fitted_name(owner.name),
        names.OWNER_UID_LABEL: owner.uid,
    }


def owner_references(owner: ObjectMeta, kind: Kind) -> list[Json]:
    """Return the one controller reference, so that Kubernetes collects the child with its owner."""
    return [
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "name": owner.name,
            "uid": owner.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
    ]
