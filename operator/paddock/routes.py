"""From a changed object to the keys whose passes it concerns. Pure."""

from collections.abc import Iterable, Iterator

from paddock import kinds, names
from paddock.facts import Key, Kind
from paddock.observe.raw import items, text
from paddock.wire import Manifest


def keys_for(
    kind: Kind, manifest: Manifest, pools: Iterable[Manifest], models: Iterable[Manifest]
) -> Iterator[Key]:
    """Yield the keys to pass over; pools and models are those of the object's namespace."""
    namespace = text(manifest, "metadata", "namespace") or ""
    name = text(manifest, "metadata", "name") or ""
    if kind == kinds.LOCAL_MODELS:
        yield Key(kinds.LOCAL_MODELS.plural, namespace, name)
        for pool in pools:
            if name in {text(each, "name") for each in items(pool, "spec", "models")}:
                pool_name = text(pool, "metadata", "name") or ""
                yield Key(kinds.INFERENCE_POOLS.plural, namespace, pool_name)
    elif kind == kinds.INFERENCE_POOLS:
        yield Key(kinds.INFERENCE_POOLS.plural, namespace, name)
        for each in items(manifest, "spec", "models"):
            yield Key(kinds.LOCAL_MODELS.plural, namespace, text(each, "name") or "")
    else:
        yield from _owner(manifest, namespace, pools, models)


def _owner(
    manifest: Manifest, namespace: str, pools: Iterable[Manifest], models: Iterable[Manifest]
) -> Iterator[Key]:
    for label, plural, owners in (
        (names.MODEL_LABEL, kinds.LOCAL_MODELS.plural, models),
        (names.POOL_LABEL, kinds.INFERENCE_POOLS.plural, pools),
    ):
        value = text(manifest, "metadata", "labels", label)
        if value is None:
            continue
        for owner in owners:
            name = text(owner, "metadata", "name") or ""
            if names.fitted_name(name) == value:
                yield Key(plural, namespace, name)
