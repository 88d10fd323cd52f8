"""Which pools a model's requests go to, in which shares, and what stands in for them. Pure.

The pools of the first priority share by weight; each falls back to the others of its priority,
then to later ones, then to the activator, where a pool of them may be at zero. None of it needs the
operator: Envoy goes on to the next cluster when one has no pod that is well.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from paddock import names
from paddock.plan.gateway.catalog import Offer, Served
from paddock.plan.gateway.clusters import pool_cluster_name


@dataclass(frozen=True, slots=True)
class Way:
    """One share of a model's requests: the clusters to try in order."""

    clusters: tuple[str, ...]
    weight: int
    woken: Offer | None
    """The pool that the activator brings back where no cluster before it has a pod."""


def ways_of(offers: Sequence[Offer]) -> tuple[Way, ...]:
    """Return the shares of the first priority; where all weigh nothing, they are equal."""
    first = min(offer.priority for offer in offers)
    sharing = [offer for offer in offers if offer.priority == first]
    weighs = any(offer.weight for offer in sharing)
    return tuple(
        _way(offer, offers, offer.weight if weighs else 1)
        for offer in sharing
        if offer.weight or not weighs
    )


def _way(offer: Offer, offers: Sequence[Offer], weight: int) -> Way:
    others = sorted(
        (each for each in offers if each is not offer),
        key=lambda each: (each.priority, -each.weight, each.pool.metadata.name),
    )
    order = [offer, *others]
    woken = next((each for each in order if each.can_be_woken), None)
    pools = [pool_cluster_name(each.pool) for each in order]
    return Way(tuple([*pools, names.ACTIVATOR] if woken else pools), weight, woken)


def ways_of_all(served: Sequence[Served]) -> Iterator[Way]:
    """Yield every way that the route table takes."""
    for each in served:
        for offers in each.paths.values():
            yield from ways_of(offers)
