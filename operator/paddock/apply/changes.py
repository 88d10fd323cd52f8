"""Changes made: applied or deleted in order; what the apiserver refuses comes back as refusals."""

import logging
from collections.abc import Iterable

from paddock.api.reasons import Reason
from paddock.errors import ConflictError, ForbiddenError, InvalidError
from paddock.facts import Apply, Change, Delete, Refusal, Scale
from paddock.kinds import DEPLOYMENTS, kind_of
from paddock.kube.cache import Cache, place_of
from paddock.kube.cluster import Cluster
from paddock.plan.changes import conflict, is_foreign, is_leftover
from paddock.wire import Manifest

log = logging.getLogger("paddock.apply")
_LONGEST = 500


async def apply_changes(
    cluster: Cluster, cache: Cache, changes: Iterable[Change]
) -> tuple[Refusal, ...]:
    """Make the changes; return the refusals. Other errors end the pass."""
    refusals: list[Refusal] = []
    made: list[str] = []
    try:
        for change in changes:
            refusal = await _attempt(cluster, cache, change)
            if refusal is None:
                made.append(f"{_verb(change)} {_name(change)}")
            else:
                refusals.append(refusal)
    finally:
        if made:
            log.info("changed", extra={"changes": ", ".join(made)})
    return tuple(refusals)


async def _attempt(cluster: Cluster, cache: Cache, change: Change) -> Refusal | None:
    try:
        match change:
            case Apply(manifest):
                return await _apply(cluster, cache, manifest)
            case Delete():
                await _delete(cluster, cache, change)
            case Scale():
                await cluster.scale(
                    DEPLOYMENTS, change.namespace, change.name, replicas=change.replicas,
                    resource_version=change.resource_version,
                )  # fmt: skip
    except ForbiddenError as error:
        return _refusal(change, _forbidden_reason(str(error)), str(error))
    except InvalidError as error:
        return _refusal(change, Reason.ADMISSION_FAILED, str(error))
    return None


async def _apply(cluster: Cluster, cache: Cache, manifest: Manifest) -> Refusal | None:
    """Apply; a name that the cache does not know may be a stranger's, whom nobody watches."""
    kind = kind_of(manifest)
    known = cache.get(kind, *place_of(manifest))
    live = known or await cluster.get(kind, *place_of(manifest))
    if live is not None and is_leftover(manifest, live):
        raise ConflictError(409, f"{_manifest_name(manifest)} of a deleted owner is still there.")
    if known is None and live is not None and is_foreign(manifest, live):
        return conflict(manifest)
    cache.put(kind, await cluster.apply(manifest))
    return None


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


def _verb(change: Change) -> str:
    match change:
        case Apply():
            return "apply"
        case Delete():
            return "delete"
        case Scale():
            return f"scale to {change.replicas}"


def _name(change: Change) -> str:
    match change:
        case Apply(manifest):
            return _manifest_name(manifest)
        case Delete():
            return f"{change.kind.kind}/{change.name}"
        case Scale():
            return f"Deployment/{change.name}"


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
