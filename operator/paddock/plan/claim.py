"""The PersistentVolumeClaim a LocalModel asks for.

Pure. A claim whose model says Retain has no owner reference and no owner-uid label: deleting the
model leaves it, and a new model of the same name finds it again.
"""

from paddock import kinds, names
from paddock.api.localmodel import LocalModel, Storage
from paddock.plan.owner import child_labels, owner_references
from paddock.wire import Json, Manifest

DEFAULT_SIZE = "20Gi"
DEFAULT_ACCESS_MODES = ("ReadWriteOnce",)
COMPONENT = "weights"


def build_claim(model: LocalModel, *, owned: bool) -> Manifest:
    """Build the claim; `owned` ties its life to the model's (retain Delete, and no other user)."""
    storage = model.spec.storage or Storage()
    labels = child_labels(model.metadata, kinds.LOCAL_MODELS, COMPONENT)
    metadata: dict[str, Json] = {
        "name": names.claim_name(model.metadata.name),
        "namespace": model.metadata.namespace,
        "labels": labels
        if owned
        else {key: value for key, value in labels.items() if key != names.OWNER_UID_LABEL},
    }
    if owned:
        metadata["ownerReferences"] = owner_references(model.metadata, kinds.LOCAL_MODELS)
    spec: dict[str, Json] = {
        "accessModes": list(storage.access_modes or DEFAULT_ACCESS_MODES),
        "resources": {"requests": {"storage": str(storage.size or DEFAULT_SIZE)}},
    }
    if storage.storage_class_name is not None:
        spec["storageClassName"] = storage.storage_class_name
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": metadata,
        "spec": spec,
    }
