"""Who may have which answer, as conditions on routes: claims of tokens, read by Envoy itself. Pure.

A caller without a valid token gets 401 and one whose token is for other models 403, whether or not
the model exists. Claims are what the listener's JWT filter found in a token it has verified.
"""

from collections.abc import Iterable, Iterator, Sequence

from paddock.api.auth import Issuer
from paddock.callers import Callers, KeyRing
from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.issuers import Trust, accepted_by, identity_of
from paddock.plan.gateway.key_ring import EVERY_MODEL
from paddock.wire import Json

JWT_FILTER = "envoy.filters.http.jwt_authn"
KEY, ACCOUNT = "key", "account"
ID, SUBJECT = "jti", "sub"
_MODELS, _AUDIENCE, _ISSUER = "models", "aud", "iss"


def is_guarded(served: Sequence[Served]) -> bool:
    """Tell whether some model asks who its caller is."""
    return any(each.is_guarded for each in served)


def ways_to(served: Served, callers: Callers) -> list[list[Json]]:
    """Return the ways to be allowed to use a model; each is conditions that hold together."""
    if not served.is_guarded:
        return [[]]
    ways: list[list[Json]] = []
    if served.takes_keys:
        scope = _holds(KEY, _MODELS, [served.name, EVERY_MODEL])
        ways.append([*with_key(callers.keys), scope])
    if served.accounts:
        ways.append([one_of_accounts(served.namespace, served.accounts)])
    for trust, said in accepted_by(served).items():
        ways.append([each for issuer in said for each in _suits(trust, issuer, served.name)])
    return ways


def _suits(trust: Trust, issuer: Issuer, model: str) -> Iterator[Json]:
    """Yield what one pool demands of a token: who, for whom, and for which models."""
    path = path_of(trust.place, identity_of(issuer))
    somebody: Json = {"string_match": {"safe_regex": {"regex": ".+"}}}
    yield {"filter": JWT_FILTER, "path": path, "value": somebody}
    yield _holds(trust.place, _AUDIENCE, issuer.audiences, alone=True)
    if issuer.models_claim is not None:
        yield _holds(trust.place, issuer.models_claim, [model, EVERY_MODEL], alone=True)


def with_token_of(trust: Trust) -> list[Json]:
    """Return the conditions of a caller with some token of an issuer."""
    path = path_of(trust.place, _ISSUER)
    return [{"filter": JWT_FILTER, "path": path, "value": {"present_match": True}}]


def for_every_model(ring: KeyRing | None) -> list[Json]:
    """Return the conditions under which a caller may use all models that take keys."""
    return [*with_key(ring), _holds(KEY, _MODELS, [EVERY_MODEL])]


def with_key(ring: KeyRing | None) -> list[Json]:
    """Return the conditions of a caller with a key that is still good."""
    known: Json = {"filter": JWT_FILTER, "path": path_of(KEY, ID), "value": {"present_match": True}}
    if ring is None or not ring.revoked:
        return [known]
    return [known, {**one_of_keys(ring.revoked), "invert": True}]


def one_of_keys(ids: Iterable[str]) -> dict[str, Json]:
    """Return the condition that the caller's key is one of these."""
    return {"filter": JWT_FILTER, "path": path_of(KEY, ID), "value": _any_of(sorted(ids))}


def with_account() -> list[Json]:
    """Return the conditions of a caller with some service account."""
    path = path_of(ACCOUNT, SUBJECT)
    return [{"filter": JWT_FILTER, "path": path, "value": {"present_match": True}}]


def one_of_accounts(namespace: str, accounts: Iterable[str]) -> Json:
    """Return the condition that the caller is one of a namespace's service accounts."""
    subjects = [f"system:serviceaccount:{namespace}:{name}" for name in sorted(accounts)]
    return {"filter": JWT_FILTER, "path": path_of(ACCOUNT, SUBJECT), "value": _any_of(subjects)}


def path_of(place: str, claim: str) -> Json:
    """Return where a claim is in the JWT filter's metadata."""
    return [{"key": place}, {"key": claim}]


def _holds(place: str, claim: str, texts: Sequence[str], *, alone: bool = False) -> Json:
    """Return the condition that a claim lists one of these, or, where it may, is one of them."""
    listed: Json = {"list_match": {"one_of": _any_of(texts)}}
    value: Json = {"or_match": {"value_matchers": [listed, _any_of(texts)]}} if alone else listed
    return {"filter": JWT_FILTER, "path": path_of(place, claim), "value": value}


def _any_of(texts: Sequence[str]) -> Json:
    matchers: list[Json] = [{"string_match": {"exact": each}} for each in texts]
    return matchers[0] if len(matchers) == 1 else {"or_match": {"value_matchers": matchers}}
