"""The finalizers of an object of ours, replaced only as they were when it was decided."""

from paddock.api.base import ObjectMeta
from paddock.errors import ConflictError
from paddock.facts import Kind
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.wire import Manifest


async def apply_finalizers(
    cluster: Cluster, cache: Cache, kind: Kind, decided_on: ObjectMeta, wanted: tuple[str, ...]
) -> None:
    """Write the finalizers after a live read; another object, or other finalizers, is a conflict.

    The decision was made on what the cache knew: somebody else's finalizer may have come since, and
    an object of the same name is not the one that was meant.
    """
    live = await cluster.get(kind, decided_on.namespace, decided_on.name)
    if live is None:
        return
    if _identity(live) != (decided_on.uid, tuple(decided_on.finalizers)):
        cache.put(kind, live)
        raise ConflictError(409, f"{kind.kind}/{decided_on.name} changed before its finalizers.")
    written = await cluster.patch_finalizers(kind, live, wanted)
    if written is not None:
        cache.put(kind, written)


def _identity(live: Manifest) -> tuple[str, tuple[str, ...]]:
    metadata = ObjectMeta.model_validate(live["metadata"])
    return metadata.uid, tuple(metadata.finalizers)
