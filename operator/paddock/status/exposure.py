"""What keeps a pool from being reached from outside, in plain words. Pure."""

from collections.abc import Mapping

from paddock import kinds, names
from paddock.api.exposure import Way
from paddock.api.inferencepool import InferencePool
from paddock.api.reasons import Reason
from paddock.facts import GatewayFacts, PoolFacts
from paddock.plan.exported_pool import extension_of
from paddock.plan.gateway.exposure import class_pool, exposure_of
from paddock.plan.gateway.plan import living_pools
from paddock.raw import items, named, text
from paddock.status.wording import shortened
from paddock.wire import Manifest

_UNSET = (
    Reason.NOT_EXPOSED,
    (
        "No Gateway is set up for HTTPRoutes: expose by Ingress, or have the administrator set "
        "exposure.gateway of Paddock's chart."
    ),
)
_ABSENT = (
    Reason.NOT_EXPOSED,
    (
        "The cluster has no HTTPRoutes: expose by Ingress, or have the administrator install the "
        "Gateway API."
    ),
)
_NO_EXPORTS = (
    Reason.NOT_EXPOSED,
    (
        "Pools are not exported to the inference extension here: leave out "
        "gateway.inferenceExtension, or have the administrator set exposure.inferenceExtension of "
        "Paddock's chart."
    ),
)
_NO_EXTENSION = (
    Reason.NOT_EXPOSED,
    (
        f"The cluster has no {kinds.resource_of(kinds.EXPORTED_POOLS)} of version v1: leave out "
        "gateway.inferenceExtension, or have the administrator install the Gateway API Inference "
        "Extension, 1.0 or newer."
    ),
)


def not_exposed(facts: GatewayFacts) -> Mapping[str, tuple[Reason, str]]:
    """Return what is in the way, by the uid of the pools that ask for a way in."""
    found = {pool.metadata.uid: _trouble(facts, pool) for pool in living_pools(facts)}
    return {uid: trouble for uid, trouble in found.items() if trouble is not None}


def _trouble(facts: GatewayFacts, pool: InferencePool) -> tuple[Reason, str] | None:
    asked = exposure_of(pool)
    if asked is None:
        return None
    if asked.by is Way.INGRESS:
        return _other_class(facts, asked.ingress_class_name)
    if facts.http_routes is None:
        return _UNSET
    if not facts.http_routes:
        return _ABSENT
    route = facts.children.manifests.get((kinds.HTTP_ROUTES.kind, names.GATEWAY))
    return _refused(route, "the route")


def not_exported(facts: PoolFacts) -> tuple[Reason, str] | None:
    """Return what keeps a pool that asks for it from being the inference extension's too."""
    if extension_of(facts.pool) is None:
        return None
    if facts.exportable is None:
        return _NO_EXPORTS
    if not facts.exportable:
        return _NO_EXTENSION
    place = kinds.EXPORTED_POOLS.kind, names.pool_child_name(facts.pool.metadata.name)
    return _refused(facts.children.manifests.get(place), "the exported pool")


def _other_class(facts: GatewayFacts, wanted: str | None) -> tuple[Reason, str] | None:
    first = class_pool(living_pools(facts))
    asked = exposure_of(first) if first is not None else None
    if first is None or asked is None or asked.ingress_class_name == wanted:
        return None
    has = f"the class {asked.ingress_class_name}" if asked.ingress_class_name else "no class"
    return (
        Reason.GATEWAY_CONFLICT,
        (
            f"All pools of a namespace have one Ingress, which has {has} for the older "
            f"InferencePool {first.metadata.name}: name the same."
        ),
    )


def _refused(made: Manifest | None, what: str) -> tuple[Reason, str] | None:
    """Tell what a Gateway's controller says against what was made for it."""
    for parent in items(made, "status", "parents"):
        for kind in ("Accepted", "ResolvedRefs"):
            said = named(parent, "type", kind, "conditions")
            if said.get("status") == "False":
                gateway = text(parent, "parentRef", "name") or ""
                words = shortened(text(said, "message") or text(said, "reason") or "")
                return (
                    Reason.NOT_EXPOSED,
                    f"The Gateway {gateway} does not take {what}: {words}.",
                )
    return None
