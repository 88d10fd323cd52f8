"""From a changed object to the keys whose passes it concerns, and what the cache is indexed by.

Pure. A pool's own status concerns its gateway alone; a model's the pools that serve it and
their gateway. Our own writes come back as what is known already, so no status is compared.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from paddock import kinds, names
from paddock.facts import Key, Kind
from paddock.raw import at, items, number, text
from paddock.wire import Manifest

_CLAIM_SCHEME = "pvc://"
_SHORTENED = re.compile(r"-[0-9a-f]{8}$")


class Known(Protocol):
    """What is known of the other objects of a namespace."""

    def names(self, kind: Kind, namespace: str | None = None) -> Iterable[tuple[str, str]]:
        """Return the namespaces and names of a kind."""
        ...

    def indexed(self, kind: Kind, namespace: str, value: str) -> Iterator[Manifest]:
        """Yield the objects of a namespace that the index names under this value."""
        ...


def index_of(kind: Kind, manifest: Manifest) -> Iterator[str]:
    """Yield what an object is found by: a pool by its models' names, a model by its claim's.

    The pods of a gateway and of its Collector are found by their component.
    """
    if kind == kinds.INFERENCE_POOLS:
        yield from _model_names(manifest)
    elif kind == kinds.LOCAL_MODELS:
        yield claim_of_manifest(manifest)
    elif kind == kinds.PODS and _is_gateways(manifest):
        yield text(manifest, "metadata", "labels", names.COMPONENT_LABEL) or ""


def claim_of_manifest(model: Manifest) -> str:
    """Return the name of the claim a raw LocalModel lives in."""
    source = text(model, "spec", "source") or ""
    if source.startswith(_CLAIM_SCHEME):
        return source.removeprefix(_CLAIM_SCHEME).partition("/")[0]
    own = names.claim_name(_name(model))
    return text(model, "spec", "storage", "claimName") or own


def is_observed(manifest: Manifest) -> bool:
    """Tell whether one of our own objects has a status of its newest generation."""
    seen = number(manifest, "status", "observedGeneration")
    return seen == number(manifest, "metadata", "generation")


def keys_for(
    kind: Kind,
    manifest: Manifest,
    known: Known,
    *,
    before: Manifest | None = None,
    gone: bool = False,
) -> Iterator[Key]:
    """Yield the keys to pass over; `before` is what was known of one of our own objects."""
    namespace = text(manifest, "metadata", "namespace") or ""
    if kind == kinds.LOCAL_MODELS:
        yield from _around_model(manifest, namespace, known, before, gone=gone)
    elif kind == kinds.INFERENCE_POOLS:
        yield from _around_pool(manifest, namespace, before, gone=gone)
    else:
        yield from _owners(manifest, namespace, known)
        if kind == kinds.CLAIMS:
            yield from _tenants(_name(manifest), namespace, known)


def _around_model(
    model: Manifest, namespace: str, known: Known, before: Manifest | None, *, gone: bool
) -> Iterator[Key]:
    name = _name(model)
    yield Key(kinds.LOCAL_MODELS.plural, namespace, name)
    for pool in known.indexed(kinds.INFERENCE_POOLS, namespace, name):
        yield Key(kinds.INFERENCE_POOLS.plural, namespace, _name(pool))
        yield _gateway(namespace)
    if gone or _concerns_others(model, before):
        for each in (model, before):
            if each is not None:
                yield from _tenants(claim_of_manifest(each), namespace, known)


def _around_pool(
    pool: Manifest, namespace: str, before: Manifest | None, *, gone: bool
) -> Iterator[Key]:
    yield Key(kinds.INFERENCE_POOLS.plural, namespace, _name(pool))
    yield _gateway(namespace)
    if gone or _concerns_others(pool, before):
        for each in (pool, before):
            for name in _model_names(each) if each is not None else ():
                yield Key(kinds.LOCAL_MODELS.plural, namespace, name)


def _concerns_others(manifest: Manifest, before: Manifest | None) -> bool:
    """Tell whether an object is new, changed its spec, or began to go."""
    if before is None or text(before, "metadata", "uid") != text(manifest, "metadata", "uid"):
        return True
    return number(before, "metadata", "generation") != number(
        manifest, "metadata", "generation"
    ) or at(before, "metadata", "deletionTimestamp") != at(
        manifest, "metadata", "deletionTimestamp"
    )


def _tenants(claim: str, namespace: str, known: Known) -> Iterator[Key]:
    for model in known.indexed(kinds.LOCAL_MODELS, namespace, claim):
        yield Key(kinds.LOCAL_MODELS.plural, namespace, _name(model))


def _gateway(namespace: str) -> Key:
    return Key(names.GATEWAYS, namespace, names.GATEWAY)


def _is_gateways(child: Manifest) -> bool:
    """Tell whether it is of a gateway: a child, or the keys that its users are told by."""
    component = text(child, "metadata", "labels", names.COMPONENT_LABEL)
    return component in (
        names.GATEWAY_COMPONENT,
        names.GATEWAY_COLLECTOR_COMPONENT,
        names.KEYS_COMPONENT,
    )


def _owners(child: Manifest, namespace: str, known: Known) -> Iterator[Key]:
    if _is_gateways(child):
        yield _gateway(namespace)
        return
    plurals = {kind.kind: kind.plural for kind in kinds.OWN}
    for owner in items(child, "metadata", "ownerReferences"):
        plural = plurals.get(text(owner, "kind") or "")
        if plural is not None and text(owner, "apiVersion") == names.API_VERSION:
            yield Key(plural, namespace, text(owner, "name") or "")
            return
    for label, kind in (
        (names.MODEL_LABEL, kinds.LOCAL_MODELS),
        (names.POOL_LABEL, kinds.INFERENCE_POOLS),
    ):
        value = text(child, "metadata", "labels", label)
        if value is not None:
            yield from _labelled(kind, namespace, value, known)


def _labelled(kind: Kind, namespace: str, value: str, known: Known) -> Iterator[Key]:
    """Yield the object a label stands for, whose name may have been too long for a label."""
    yield Key(kind.plural, namespace, value)
    if _SHORTENED.search(value):
        for _, name in known.names(kind, namespace):
            if name != value and names.fitted_name(name) == value:
                yield Key(kind.plural, namespace, name)


def _model_names(pool: Manifest) -> tuple[str, ...]:
    """Return the models that a raw pool needs, as `needed_models` does of a typed one."""
    served = [text(each, "name") for each in items(pool, "spec", "models")]
    draft = text(pool, "spec", "serving", "draftModel")
    return tuple(name for name in (*served, draft) if name)


def _name(manifest: Manifest) -> str:
    return text(manifest, "metadata", "name") or ""
