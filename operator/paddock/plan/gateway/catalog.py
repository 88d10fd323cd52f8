"""What a namespace serves: each served name, and the pools that offer it.

Pure. A pool whose declaration is refused keeps what it served before, as its engines do; a model
counts once its weights have been pulled.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from paddock.api.auth import Auth
from paddock.api.gateway import Limits
from paddock.api.inferencepool import EngineName, InferencePool, Serving
from paddock.api.localmodel import LocalModel
from paddock.plan.engines.profile import PooledModel, Profile, gpus_of
from paddock.plan.engines.registry import PROFILES
from paddock.plan.pool_refusals import refuse_pool
from paddock.plan.replica import pooled_models

_LATEST = ":latest"
DEFAULT_WEIGHT = 100


@dataclass(frozen=True, slots=True)
class Offer:
    """One pool that serves a model."""

    pool: InferencePool
    model: PooledModel
    alone: bool
    """Whether it is the pool's only model."""
    still_woken: bool = False
    """Whether the pool may be at zero no more, but its pods are not found yet."""

    @property
    def profile(self) -> Profile:
        """Return the pool's engine."""
        return PROFILES[self.pool.spec.engine.name]

    @property
    def weight(self) -> int:
        """Return the pool's share among those of the same priority."""
        gateway = self.pool.spec.gateway
        return DEFAULT_WEIGHT if gateway is None or gateway.weight is None else gateway.weight

    @property
    def priority(self) -> int:
        """Return the pool's turn: lower numbers come first."""
        gateway = self.pool.spec.gateway
        return gateway.priority or 0 if gateway is not None else 0

    @property
    def auth(self) -> Auth | None:
        """Return whom the pool takes; None where it takes all."""
        gateway = self.pool.spec.gateway
        return gateway.auth if gateway is not None else None

    @property
    def limits(self) -> Limits:
        """Return what the pool's requests may ask of it."""
        return limits_of(self.pool)

    @property
    def can_be_woken(self) -> bool:
        """Tell whether the pool may be at zero, from where a request brings it back."""
        scaling = self.pool.spec.scaling
        return self.still_woken or (scaling is not None and scaling.least == 0)

    @property
    def names_any_case(self) -> bool:
        """Tell whether the engine compares names without case, and adds the tag latest."""
        return self.pool.spec.engine.name is EngineName.OLLAMA

    @property
    def takes_any_name(self) -> bool:
        """Tell whether the engine answers whatever name a request bears."""
        return self.pool.spec.engine.name is EngineName.LLAMA_CPP and self.alone

    @property
    def context(self) -> int | None:
        """Return the tokens that one request may use, where the engine does not choose them."""
        serving = self.pool.spec.serving or Serving()
        tokens = self.profile.tokens(self.pool, self.model, gpus_of(self.pool, self.profile))
        shared = self.pool.spec.engine.name is not EngineName.VLLM
        if tokens is None:
            return self.model.trained_context
        return tokens // (serving.parallel or 1) if shared else tokens


def limits_of(pool: InferencePool) -> Limits:
    """Return the limits that a pool declares."""
    gateway = pool.spec.gateway
    return (gateway.limits if gateway is not None else None) or Limits()


def age_of(pool: InferencePool) -> tuple[str, str]:
    """Return what orders pools from the oldest: where they differ about the gateway, it decides."""
    return pool.metadata.creation_timestamp or "", pool.metadata.name


def gateway_replicas(pools: Iterable[InferencePool]) -> int:
    """Return how many Envoys the namespace has: as many as the pool that asks for most."""
    asked = (pool.spec.gateway.replicas for pool in pools if pool.spec.gateway is not None)
    return max((count for count in asked if count is not None), default=1)


@dataclass(frozen=True, slots=True)
class Served:
    """One name that requests may bear, with the pools behind it."""

    name: str
    offers: tuple[Offer, ...]

    @property
    def any_case(self) -> bool:
        """Tell whether every pool behind it knows the name in any case."""
        return all(offer.names_any_case for offer in self.offers)

    @property
    def namespace(self) -> str:
        """Return the namespace of its pools."""
        return self.offers[0].pool.metadata.namespace

    @property
    def guards(self) -> tuple[Auth, ...]:
        """Return whom those pools take that do not take all; a caller has to suit each of them."""
        return tuple(offer.auth for offer in self.offers if offer.auth is not None)

    @property
    def is_guarded(self) -> bool:
        """Tell whether a pool behind it asks who its caller is."""
        return bool(self.guards)

    @property
    def takes_keys(self) -> bool:
        """Tell whether a key may open it."""
        return self.is_guarded and all(each.api_keys is not None for each in self.guards)

    @property
    def accounts(self) -> frozenset[str]:
        """Return the service accounts that may use it."""
        named = [frozenset(each.service_accounts or ()) for each in self.guards]
        return frozenset.intersection(*named) if named else frozenset()

    @property
    def names(self) -> tuple[str, ...]:
        """Return every spelling that each pool behind it understands, less those in other case."""
        tagged = all(offer.names_any_case or offer.takes_any_name for offer in self.offers)
        return (self.name, f"{self.name}{_LATEST}") if tagged and ":" not in self.name else (
            self.name,
        )  # fmt: skip

    @property
    def paths(self) -> Mapping[str, tuple[Offer, ...]]:
        """Return the routes that some pool has for it, with the pools that do."""
        every = sorted({path for offer in self.offers for path in offer.profile.paths})
        return {
            path: tuple(offer for offer in self.offers if path in offer.profile.paths)
            for path in every
        }


def served_by(
    pools: Iterable[InferencePool],
    models: Mapping[str, LocalModel],
    still_woken: Collection[str] = (),
) -> tuple[Served, ...]:
    """Return what the pools serve, by name; some are still woken that gave zero up."""
    offers: dict[str, list[Offer]] = {}
    for pool in sorted(pools, key=lambda pool: pool.metadata.name):
        for offer in _offers(pool, models, still_woken=pool.metadata.name in still_woken):
            offers.setdefault(offer.model.served_as.removesuffix(_LATEST), []).append(offer)
    return tuple(Served(name, tuple(found)) for name, found in sorted(offers.items()))


def _offers(
    pool: InferencePool, models: Mapping[str, LocalModel], *, still_woken: bool
) -> list[Offer]:
    if pool.metadata.deletion_timestamp is not None:
        return []
    known = pooled_models(pool, dict(models))
    offers = [
        Offer(pool, model, alone=len(pool.spec.models) == 1, still_woken=still_woken)
        for model in known
        if model.model.status.artifact is not None
    ]
    if not refuse_pool(pool, PROFILES[pool.spec.engine.name], known):
        return offers
    before = {served.served_as for served in pool.status.models}
    return [offer for offer in offers if offer.model.served_as in before]
