"""Storage of the embedded cluster: one default class over folders that honour fsGroup.

The volumes are made beforehand as `local` PersistentVolumes, because those are mounted with the
pod's group, which host-path volumes are not. Claims bind when their first pod is scheduled.
"""

from collections.abc import Sequence
from pathlib import Path

from paddock.wire import Json, Manifest

CLASS = "paddock-local"
_COUNT = 48
_SIZE = "100Gi"


def make_folders(folder: Path) -> None:
    """Make the volumes' folders."""
    for index in range(_COUNT):
        (folder / f"volume-{index:02}").mkdir(parents=True, exist_ok=True)


def storage_manifests(folder: Path, node: str) -> Sequence[Manifest]:
    """Return the class and its volumes."""
    storage_class: Manifest = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {
            "name": CLASS,
            "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
        },
        "provisioner": "kubernetes.io/no-provisioner",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    return [storage_class, *(_volume(folder, node, index) for index in range(_COUNT))]


def _volume(folder: Path, node: str, index: int) -> Manifest:
    name = f"volume-{index:02}"
    on_node: dict[str, Json] = {
        "key": "kubernetes.io/hostname",
        "operator": "In",
        "values": [node],
    }
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": f"paddock-{name}"},
        "spec": {
            "capacity": {"storage": _SIZE},
            "accessModes": ["ReadWriteOnce", "ReadWriteMany"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": CLASS,
            "local": {"path": str(folder / name)},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [on_node]}]}},
        },
    }
