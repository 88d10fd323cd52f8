"""What watches and lists said last of every object we care about, as compact JSON.

Fed by `handlers` and the resync, read by `observe`. Never the ground for a deletion: that takes a
live read. Objects are kept as bytes without managedFields, so that thousands stay small.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Literal

from paddock import names
from paddock.facts import Kind
from paddock.wire import Json, Manifest

_Key = tuple[str, str]
News = Literal["newer", "same", "older"]
"""What an object was to the cache; our own writes come back as `same`."""


class Cache:
    """The last known state, by kind, namespace and name."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._objects: dict[str, dict[_Key, tuple[str, int, bytes]]] = {
            kind.kind: {} for kind in kinds
        }
        self._children: dict[str, set[tuple[str, _Key]]] = {}
        self._gone: dict[str, None] = {}
        self._unsynced = set(self._objects)

    @property
    def synced(self) -> bool:
        """Return whether every kind has been listed completely."""
        return not self._unsynced

    def put(self, kind: Kind, manifest: Manifest) -> News:
        """Keep an object unless something newer is known; return what it was to us."""
        metadata = _metadata(manifest)
        key, uid, version = _key(metadata), str(metadata.get("uid")), _version(metadata)
        known = self._objects[kind.kind].get(key)
        if uid in self._gone or (known and known[0] == uid and known[1] > version):
            return "older"
        if known and known[0] == uid and known[1] == version:
            return "same"
        trimmed = {
            **manifest,
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {key: value for key, value in metadata.items() if key != "managedFields"},
        }
        content = json.dumps(trimmed, separators=(",", ":")).encode()
        self._objects[kind.kind][key] = (uid, version, content)
        owner = _owner(metadata)
        if owner is not None:
            self._children.setdefault(owner, set()).add((kind.kind, key))
        return "newer"

    def remove(self, kind: Kind, manifest: Manifest) -> None:
        """Forget an object that is gone; late events about it are ignored."""
        metadata = _metadata(manifest)
        key, uid = _key(metadata), str(metadata.get("uid"))
        known = self._objects[kind.kind].get(key)
        if known is not None and known[0] == uid:
            self._forget(kind.kind, key, _owner(metadata))
        self._gone[uid] = None
        while len(self._gone) > _TOMBSTONES:
            del self._gone[next(iter(self._gone))]

    def replace_all(self, kind: Kind, manifests: Iterable[Manifest]) -> list[Manifest]:
        """Take a complete list; return the objects that were known and are gone."""
        present = set()
        for manifest in manifests:
            self.put(kind, manifest)
            present.add(_key(_metadata(manifest)))
        lost = [
            manifest
            for key, (_, _, content) in list(self._objects[kind.kind].items())
            if key not in present
            for manifest in [_loaded(content)]
        ]
        for manifest in lost:
            metadata = _metadata(manifest)
            self._forget(kind.kind, _key(metadata), _owner(metadata))
        self._unsynced.discard(kind.kind)
        return lost

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return what is known of one object."""
        known = self._objects[kind.kind].get((namespace, name))
        return _loaded(known[2]) if known else None

    def list(self, kind: Kind, namespace: str | None = None) -> Iterator[Manifest]:
        """Yield what is known of a kind."""
        for (place, _), (_, _, content) in list(self._objects[kind.kind].items()):
            if namespace in (None, place):
                yield _loaded(content)

    def children_of(self, uid: str) -> Iterator[Manifest]:
        """Yield the objects that carry this owner's uid in their label."""
        for kind, key in sorted(self._children.get(uid, ())):
            known = self._objects[kind].get(key)
            if known is not None:
                yield _loaded(known[2])

    def _forget(self, kind: str, key: _Key, owner: str | None) -> None:
        self._objects[kind].pop(key, None)
        if owner is not None and owner in self._children:
            self._children[owner].discard((kind, key))
            if not self._children[owner]:
                del self._children[owner]


_TOMBSTONES = 4096


def _loaded(content: bytes) -> Manifest:
    manifest: Manifest = json.loads(content)
    return manifest


def _metadata(manifest: Manifest) -> dict[str, Json]:
    metadata = manifest.get("metadata")
    return dict(metadata) if isinstance(metadata, dict) else {}


def _key(metadata: dict[str, Json]) -> _Key:
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _version(metadata: dict[str, Json]) -> int:
    version = str(metadata.get("resourceVersion", "0"))
    return int(version) if version.isdigit() else 0


def _owner(metadata: dict[str, Json]) -> str | None:
    labels = metadata.get("labels")
    owner = labels.get(names.OWNER_UID_LABEL) if isinstance(labels, dict) else None
    return str(owner) if owner is not None else None
