"""One status write per pass, and only when the status differs from what is there."""

from paddock.api.base import ObjectMeta, Record
from paddock.facts import Kind
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.wire import Json


async def write_status(
    cluster: Cluster,
    cache: Cache,
    kind: Kind,
    metadata: ObjectMeta,
    *,
    before: Record,
    after: Record,
) -> bool:
    """Write the status if it changed; return whether it did."""
    if before == after:
        return False
    status: dict[str, Json] = after.model_dump(mode="json", by_alias=True, exclude_none=True)
    live = await cluster.apply_status(
        kind,
        {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "name": metadata.name,
                "namespace": metadata.namespace,
                "uid": metadata.uid,
            },
            "status": status,
        },
    )
    cache.put(kind, live)
    return True
