"""Storage of the embedded cluster: which volumes to make and which to take back. Pure.

The volumes are `local` PersistentVolumes, because those are mounted with the pod's group, which
host-path volumes are not. Made by `storage_keeper` when the scheduler has placed a claim's pod.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from paddock.local.manifests import rights
from paddock.raw import at, text
from paddock.wire import Manifest

CLASS = "paddock-local"
PROVISIONER = "paddock.dev/local"
USER = "paddock-local-storage"
_CHOSEN_NODE = "volume.kubernetes.io/selected-node"
_ASKED = "volume.kubernetes.io/storage-provisioner"
_MADE_BY = "pv.kubernetes.io/provisioned-by"


def storage_manifests() -> Sequence[Manifest]:
    """Return the default class and what the keeper may do."""
    storage_class: Manifest = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": PROVISIONER,
        "reclaimPolicy": "Delete",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    rules: list[Manifest] = [
        {
            "apiGroups": [""],
            "resources": ["persistentvolumeclaims"],
            "verbs": ["list", "watch"],
        },
        {
            "apiGroups": [""],
            "resources": ["persistentvolumes"],
            "verbs": ["list", "watch", "create", "delete"],
        },
    ]
    return [storage_class, *rights(USER, rules)]


def volumes_to_make(
    claims: Iterable[Manifest], volumes: Iterable[Manifest], folder: Path
) -> list[Manifest]:
    """Return a volume for each claim that waits for one of ours and has none yet."""
    present = {text(volume, "metadata", "name") for volume in volumes}
    wanted = [_volume(claim, folder) for claim in claims if _waits(claim)]
    return [volume for volume in wanted if text(volume, "metadata", "name") not in present]


def volumes_to_take_back(volumes: Iterable[Manifest], folder: Path) -> dict[str, Path]:
    """Return name and folder of each volume of ours whose claim is gone."""
    return {
        text(volume, "metadata", "name") or "": path
        for volume in volumes
        if text(volume, "status", "phase") in {"Released", "Failed"}
        and text(volume, "spec", "persistentVolumeReclaimPolicy") == "Delete"
        and text(volume, "metadata", "annotations", _MADE_BY) == PROVISIONER
        and (path := folder_of(volume)).parent == folder
    }


def folder_of(volume: Manifest) -> Path:
    """Return the folder of a volume."""
    return Path(text(volume, "spec", "local", "path") or "")


def _waits(claim: Manifest) -> bool:
    annotations = ("metadata", "annotations")
    return (
        text(claim, "status", "phase") == "Pending"
        and text(claim, *annotations, _ASKED) == PROVISIONER
        and text(claim, *annotations, _CHOSEN_NODE) is not None
        and text(claim, "metadata", "deletionTimestamp") is None
    )


def _volume(claim: Manifest, folder: Path) -> Manifest:
    name = f"pvc-{text(claim, 'metadata', 'uid')}"
    node = text(claim, "metadata", "annotations", _CHOSEN_NODE)
    on_node = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name, "annotations": {_MADE_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": at(claim, "spec", "resources", "requests", "storage")},
            "accessModes": at(claim, "spec", "accessModes"),
            "volumeMode": at(claim, "spec", "volumeMode"),
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": at(claim, "spec", "storageClassName"),
            "local": {"path": str(folder / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": at(claim, "metadata", "namespace"),
                "name": at(claim, "metadata", "name"),
                "uid": at(claim, "metadata", "uid"),
            },
        },
    }
