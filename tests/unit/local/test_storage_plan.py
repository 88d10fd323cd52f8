"""Volumes to make and to take back, from claims and volumes as the apiserver tells them."""

from pathlib import Path

import pytest

from paddock.local.storage import (
    CLASS,
    PROVISIONER,
    folder_of,
    storage_manifests,
    volumes_to_make,
    volumes_to_take_back,
)
from paddock.wire import Json, Manifest

FOLDER = Path("/state/volumes")


def claim(**changes: Json) -> Manifest:
    return {
        "metadata": {
            "name": "weights",
            "namespace": "team",
            "uid": "u-1",
            "annotations": {
                "volume.kubernetes.io/storage-provisioner": PROVISIONER,
                "volume.kubernetes.io/selected-node": "node",
            },
            **({"deletionTimestamp": "now"} if changes.get("deleted") else {}),
        },
        "spec": {
            "accessModes": ["ReadWriteMany"],
            "resources": {"requests": {"storage": "90Gi"}},
            "storageClassName": CLASS,
            "volumeMode": "Filesystem",
        },
        "status": {"phase": changes.get("phase", "Pending")},
    }


def volume(
    *, phase: str = "Released", policy: str = "Delete", path: str = "/state/volumes/pvc-u-1",
    maker: str = PROVISIONER,
) -> Manifest:  # fmt: skip
    return {
        "metadata": {"name": "pvc-u-1", "annotations": {"pv.kubernetes.io/provisioned-by": maker}},
        "spec": {"persistentVolumeReclaimPolicy": policy, "local": {"path": path}},
        "status": {"phase": phase},
    }


def test_placed_claim_gets_a_volume_of_its_size_on_its_node_for_itself_alone() -> None:
    (made,) = volumes_to_make([claim()], [], FOLDER)
    assert made == {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {
            "name": "pvc-u-1",
            "annotations": {"pv.kubernetes.io/provisioned-by": PROVISIONER},
        },
        "spec": {
            "capacity": {"storage": "90Gi"},
            "accessModes": ["ReadWriteMany"],
            "volumeMode": "Filesystem",
            "persistentVolumeReclaimPolicy": "Delete",
            "storageClassName": CLASS,
            "local": {"path": "/state/volumes/pvc-u-1"},
            "nodeAffinity": {
                "required": {
                    "nodeSelectorTerms": [
                        {
                            "matchExpressions": [
                                {
                                    "key": "kubernetes.io/hostname",
                                    "operator": "In",
                                    "values": ["node"],
                                }
                            ]
                        }
                    ]
                }
            },
            "claimRef": {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                "namespace": "team",
                "name": "weights",
                "uid": "u-1",
            },
        },
    }
    assert folder_of(made) == FOLDER / "pvc-u-1"


def test_claim_that_has_a_volume_or_waits_for_nothing_gets_none() -> None:
    assert volumes_to_make([claim()], [volume(phase="Available")], FOLDER) == []
    assert volumes_to_make([claim(phase="Bound")], [], FOLDER) == []
    assert volumes_to_make([claim(deleted=True)], [], FOLDER) == []
    unplaced: Manifest = {"metadata": {"name": "x"}, "status": {"phase": "Pending"}}
    assert volumes_to_make([unplaced], [], FOLDER) == []


@pytest.mark.parametrize("phase", ["Released", "Failed"])
def test_volume_whose_claim_is_gone_is_taken_back(phase: str) -> None:
    expected = {"pvc-u-1": FOLDER / "pvc-u-1"}
    assert volumes_to_take_back([volume(phase=phase)], FOLDER) == expected


@pytest.mark.parametrize(
    "kept",
    [
        volume(phase="Bound"),
        volume(policy="Retain"),
        volume(maker="someone.else/storage"),
        volume(path="/etc"),
        volume(path="/state/volumes"),
        volume(path="/state/volumes/../../etc"),
        {"metadata": {"name": "odd"}},
    ],
)
def test_nothing_else_is_ever_deleted(kept: Manifest) -> None:
    assert volumes_to_take_back([kept], FOLDER) == {}


def test_the_class_is_the_default_and_waits_for_the_first_pod() -> None:
    storage_class = storage_manifests()[0]
    assert storage_class["volumeBindingMode"] == "WaitForFirstConsumer"
    assert storage_class["metadata"] == {
        "name": CLASS,
        "annotations": {"storageclass.kubernetes.io/is-default-class": "true"},
    }
