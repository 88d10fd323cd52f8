"""What watches and lists said last of every object we care about, as compact JSON.

Fed by `handlers`, the resync and our own writes' answers; read by `observe`. Never the ground for a
deletion: that takes a live read. Objects are kept as bytes without managedFields, so that thousands
stay small.
"""

import json
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Literal, NamedTuple, TypeVar

from paddock import names
from paddock.facts import Kind
from paddock.kinds import resource_of
from paddock.wire import Json, Manifest

News = Literal["newer", "same", "older"]
"""What an object was to the cache; our own writes come back as `same`."""
Index = Callable[[Kind, Manifest], Iterable[str]]
"""Names the values under which an object can be found within its namespace."""
_TOMBSTONES = 4096
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_K = TypeVar("_K")
_V = TypeVar("_V")


class _Entry(NamedTuple):
    uid: str
    version: int
    moment: int
    owner: str | None
    indexed: tuple[str, ...]
    content: bytes


_Place = tuple[str, str, str]
"""Kind's resource, namespace, name."""


def _no_index(_: Kind, __: Manifest) -> Iterable[str]:
    return ()


class Cache:
    """The last known state, by kind, namespace and name."""

    def __init__(self, kinds: Iterable[Kind], index: Index = _no_index) -> None:
        self._objects: dict[str, dict[str, dict[str, _Entry]]] = {
            resource_of(kind): {} for kind in kinds
        }
        self._index_of = index
        self._children: dict[str, set[_Place]] = {}
        self._indexed: dict[_Place, set[str]] = {}
        self._gone: dict[str, None] = {}
        self._unsynced = set(self._objects)
        self._absent: set[str] = set()
        self._moment = 0

    def has(self, kind: Kind) -> bool | None:
        """Tell whether the cluster has a kind; None where nobody asked to keep it."""
        return resource_of(kind) not in self._absent if resource_of(kind) in self._objects else None

    def absent(self, kind: Kind) -> None:
        """Take that the cluster has no such kind."""
        self.replace_all(kind, ())
        self._absent.add(resource_of(kind))

    @property
    def synced(self) -> bool:
        """Return whether every kind has been listed completely."""
        return not self._unsynced

    @property
    def moment(self) -> int:
        """Return a mark of now: what is put later has a later moment."""
        return self._moment

    def __len__(self) -> int:
        """Return how many objects are known."""
        return sum(len(named) for kind in self._objects.values() for named in kind.values())

    def put(self, kind: Kind, manifest: Manifest) -> News:
        """Keep an object unless something newer is known; return what it was to us."""
        metadata = _metadata(manifest)
        namespace, name = place_of(manifest)
        uid, version = str(metadata.get("uid")), _version(metadata)
        known = self._entry(kind, namespace, name)
        if uid in self._gone or (known and known.version > version):
            return "older"
        self._moment += 1
        if known and (known.uid, known.version) == (uid, version):
            self._objects[resource_of(kind)][namespace][name] = known._replace(moment=self._moment)
            return "same"
        whole = {
            **manifest, "apiVersion": kind.api_version, "kind": kind.kind,
            "metadata": _trimmed(metadata),
        }  # fmt: skip
        self._forget(kind, namespace, name)
        self._keep(
            kind,
            (namespace, name),
            _Entry(
                uid,
                version,
                self._moment,
                _owner(metadata),
                tuple(self._index_of(kind, whole)),
                _dumped(whole),
            ),
        )
        return "newer"

    def remove(self, kind: Kind, manifest: Manifest) -> None:
        """Forget an object that is gone; late events about it are ignored."""
        metadata = _metadata(manifest)
        namespace, name = place_of(manifest)
        uid = str(metadata.get("uid"))
        known = self._entry(kind, namespace, name)
        if known is not None and known.uid == uid:
            self._forget(kind, namespace, name)
        self._bury(uid)

    def replace_all(
        self, kind: Kind, manifests: Iterable[Manifest], *, namespace: str | None = None
    ) -> list[Manifest]:
        """Take a complete list; return the objects that were known and are gone."""
        since, present = self._moment, set[tuple[str, str]]()
        for manifest in manifests:
            self.put(kind, manifest)
            present.add(place_of(manifest))
        return self.prune(kind, present, since=since, namespace=namespace)

    def prune(
        self,
        kind: Kind,
        present: Container[tuple[str, str]],
        *,
        since: int,
        namespace: str | None = None,
    ) -> list[Manifest]:
        """Forget what a complete list did not hold, and return it.

        `since` is the moment at which the list was asked for: what was put later is not missed.
        """
        lost = [
            (place, name, entry)
            for place, named in self._objects[resource_of(kind)].items()
            if namespace in (None, place)
            for name, entry in named.items()
            if (place, name) not in present and entry.moment <= since
        ]
        for place, name, entry in lost:
            self._forget(kind, place, name)
            self._bury(entry.uid)
        self._unsynced.discard(resource_of(kind))
        self._absent.discard(resource_of(kind))
        return [_loaded(entry.content) for _, _, entry in lost]

    def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return what is known of one object."""
        known = self._entry(kind, namespace, name)
        return _loaded(known.content) if known else None

    def list(self, kind: Kind, namespace: str | None = None) -> Iterator[Manifest]:
        """Yield what is known of a kind."""
        for place, name in self.names(kind, namespace):
            known = self._entry(kind, place, name)
            if known is not None:
                yield _loaded(known.content)

    def names(self, kind: Kind, namespace: str | None = None) -> tuple[tuple[str, str], ...]:
        """Return the namespaces and names of a kind, without reading the objects."""
        places = self._objects[resource_of(kind)]
        chosen = places if namespace is None else [namespace]
        return tuple((place, name) for place in chosen for name in places.get(place, ()))

    def indexed(self, kind: Kind, namespace: str, value: str) -> Iterator[Manifest]:
        """Yield the objects of a namespace that the index names under this value."""
        for name in sorted(self._indexed.get((resource_of(kind), namespace, value), ())):
            known = self._entry(kind, namespace, name)
            if known is not None:
                yield _loaded(known.content)

    def children_of(self, uid: str) -> Iterator[Manifest]:
        """Yield the objects that carry this owner's uid in their label."""
        for kind, namespace, name in sorted(self._children.get(uid, ())):
            yield _loaded(self._objects[kind][namespace][name].content)

    def _entry(self, kind: Kind, namespace: str, name: str) -> _Entry | None:
        return self._objects[resource_of(kind)].get(namespace, {}).get(name)

    def _keep(self, kind: Kind, place: tuple[str, str], entry: _Entry) -> None:
        namespace, name = place
        self._objects[resource_of(kind)].setdefault(namespace, {})[name] = entry
        if entry.owner is not None:
            self._children.setdefault(entry.owner, set()).add((resource_of(kind), namespace, name))
        for value in entry.indexed:
            self._indexed.setdefault((resource_of(kind), namespace, value), set()).add(name)

    def _forget(self, kind: Kind, namespace: str, name: str) -> None:
        entry = self._objects[resource_of(kind)].get(namespace, {}).pop(name, None)
        if entry is None:
            return
        if not self._objects[resource_of(kind)][namespace]:
            del self._objects[resource_of(kind)][namespace]
        if entry.owner is not None:
            _drop(self._children, entry.owner, (resource_of(kind), namespace, name))
        for value in entry.indexed:
            _drop(self._indexed, (resource_of(kind), namespace, value), name)

    def _bury(self, uid: str) -> None:
        self._gone[uid] = None
        while len(self._gone) > _TOMBSTONES:
            del self._gone[next(iter(self._gone))]


def _drop(sets: dict[_K, set[_V]], key: _K, value: _V) -> None:
    members = sets.get(key)
    if members is not None:
        members.discard(value)
        if not members:
            del sets[key]


def _trimmed(metadata: dict[str, Json]) -> dict[str, Json]:
    """Leave out what kubectl and the server keep for themselves: it doubles an object."""
    kept = {key: value for key, value in metadata.items() if key != "managedFields"}
    annotations = kept.get("annotations")
    if isinstance(annotations, dict):
        kept["annotations"] = {k: v for k, v in annotations.items() if k != _LAST_APPLIED}
    return kept


def _dumped(manifest: Manifest) -> bytes:
    text = json.dumps(manifest, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "surrogatepass")


def _loaded(content: bytes) -> Manifest:
    manifest: Manifest = json.loads(content)
    return manifest


def _metadata(manifest: Manifest) -> dict[str, Json]:
    metadata = manifest.get("metadata")
    return dict(metadata) if isinstance(metadata, dict) else {}


def place_of(manifest: Manifest) -> tuple[str, str]:
    """Return an object's namespace and name."""
    metadata = _metadata(manifest)
    return str(metadata.get("namespace", "")), str(metadata.get("name", ""))


def _version(metadata: dict[str, Json]) -> int:
    version = str(metadata.get("resourceVersion", "0"))
    return int(version) if version.isdigit() else 0


def _owner(metadata: dict[str, Json]) -> str | None:
    labels = metadata.get("labels")
    owner = labels.get(names.OWNER_UID_LABEL) if isinstance(labels, dict) else None
    return str(owner) if owner is not None else None
