"""Who may have which answer, as conditions on routes: a key's claims, read by Envoy itself. Pure.

A caller without a valid key gets 401 and one whose key is for other models 403, whether or not the
model exists. A key's claims are what the listener's JWT filter found in a token it has verified.
"""

from collections.abc import Iterable, Sequence

from paddock.facts import KeyRing
from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.key_ring import EVERY_MODEL
from paddock.wire import Json

JWT_FILTER = "envoy.filters.http.jwt_authn"
CLAIMS = "key"
ID, _MODELS = "jti", "models"


def is_guarded(served: Sequence[Served]) -> bool:
    """Tell whether some model asks for a key."""
    return any(each.needs_key for each in served)


def for_model(served: Served, ring: KeyRing | None) -> list[Json]:
    """Return the conditions under which a caller may use a model."""
    if not served.needs_key:
        return []
    return [*with_key(ring), _scope(served.name, EVERY_MODEL)]


def for_every_model(ring: KeyRing | None) -> list[Json]:
    """Return the conditions under which a caller may use all models."""
    return [*with_key(ring), _scope(EVERY_MODEL)]


def with_key(ring: KeyRing | None) -> list[Json]:
    """Return the conditions of a caller with a key that is still good."""
    known: Json = {"filter": JWT_FILTER, "path": _path(ID), "value": {"present_match": True}}
    if ring is None or not ring.revoked:
        return [known]
    return [known, {**one_of_keys(ring.revoked), "invert": True}]


def one_of_keys(ids: Iterable[str]) -> dict[str, Json]:
    """Return the condition that the caller's key is one of these."""
    return {"filter": JWT_FILTER, "path": _path(ID), "value": _any_of(sorted(ids))}


def _scope(*models: str) -> Json:
    return {
        "filter": JWT_FILTER,
        "path": _path(_MODELS),
        "value": {"list_match": {"one_of": _any_of(models)}},
    }


def _path(claim: str) -> Json:
    return [{"key": CLAIMS}, {"key": claim}]


def _any_of(texts: Sequence[str]) -> Json:
    matchers: list[Json] = [{"string_match": {"exact": each}} for each in texts]
    return matchers[0] if len(matchers) == 1 else {"or_match": {"value_matchers": matchers}}
