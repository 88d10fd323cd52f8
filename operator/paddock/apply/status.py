"""One status write per pass, and only when the status differs from what is there."""

from paddock import names
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
    if _requests(ObjectMeta.model_validate(live["metadata"])) == _requests(metadata):
        cache.put(kind, live)  # else the watch brings it, and then a request is news
    return True


def _requests(metadata: ObjectMeta) -> dict[str, str]:
    """Return what a user asks for by annotations, which no generation counts."""
    prefix = f"{names.GROUP}/"
    return {key: value for key, value in metadata.annotations.items() if key.startswith(prefix)}
