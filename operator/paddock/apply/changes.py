"""Changes made: applied or deleted in order; what the apiserver refuses comes back as refusals."""

import logging
from collections.abc import Iterable

from paddock.api.reasons import Reason
from paddock.errors import ConflictError, ForbiddenError, InvalidError
from paddock.facts import Apply, Change, Delete, Refusal
from paddock.kinds import BY_KIND
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from paddock.wire import Manifest

log = logging.getLogger("paddock.apply")
_LONGEST = 500


async def apply_changes(
    cluster: Cluster, cache: Cache, changes: Iterable[Change]
) -> tuple[Refusal, ...]:
    """Make the changes; return the refusals. Other errors end the pass."""
    refusals = []
    for change in changes:
        try:
            await _make(cluster, cache, change)
        except ForbiddenError as error:
            refusals.append(_refusal(change, _forbidden_reason(str(error)), str(error)))
        except InvalidError as error:
            refusals.append(_refusal(change, Reason.ADMISSION_FAILED, str(error)))
    return tuple(refusals)


async def _make(cluster: Cluster, cache: Cache, change: Change) -> None:
    match change:
        case Apply(manifest):
            live = await cluster.apply(manifest)
            cache.put(BY_KIND[str(manifest["kind"])], live)
            log.info("applied %s", _name(change))
        case Delete():
            await _delete(cluster, cache, change)


async def _delete(cluster: Cluster, cache: Cache, change: Delete) -> None:
    """Delete after a live read: the cache alone never decides that."""
    live = await cluster.get(change.kind, change.namespace, change.name)
    metadata = live.get("metadata") if live else None
    if live is None or not isinstance(metadata, dict) or metadata.get("uid") != change.uid:
        return
    if metadata.get("resourceVersion") != change.resource_version:
        cache.put(change.kind, live)
        raise ConflictError(409, f"{_name(change)} changed while it was to be deleted.")
    await cluster.delete(
        change.kind,
        change.namespace,
        change.name,
        uid=change.uid,
        resource_version=change.resource_version,
    )
    log.info("deleted %s", _name(change))


def _name(change: Change) -> str:
    match change:
        case Apply(manifest):
            return _manifest_name(manifest)
        case Delete():
            return f"{change.kind.kind}/{change.name}"


def _manifest_name(manifest: Manifest) -> str:
    metadata = manifest["metadata"]
    name = metadata["name"] if isinstance(metadata, dict) else ""
    return f"{manifest['kind']}/{name}"


def _forbidden_reason(message: str) -> Reason:
    if "exceeded quota" in message:
        return Reason.QUOTA_EXCEEDED
    if "violates PodSecurity" in message:
        return Reason.POD_SECURITY
    return Reason.FORBIDDEN


def _refusal(change: Change, reason: Reason, message: str) -> Refusal:
    words = " ".join(message.split())[:_LONGEST]
    return Refusal(_name(change), reason, f"The apiserver refuses {_name(change)}: {words}")
