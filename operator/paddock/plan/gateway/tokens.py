"""Which tokens Envoy verifies: API keys, those of service accounts and of OIDC issuers. Pure.

What it finds in a token is metadata of the request; each kind has a place of its own, so that no
claim of one is taken for a claim of another. The configuration holds public keys only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paddock.callers import Callers
from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.guards import ACCOUNT, JWT_FILTER, KEY
from paddock.plan.gateway.identity import caller_filters
from paddock.plan.gateway.issuers import named_by, remote_provider
from paddock.plan.gateway.key_ring import AUDIENCE, issuer
from paddock.plan.gateway.xds import http_filter
from paddock.wire import Json

_CLOCK_SKEW_SECONDS = 60
_REMEMBERED = 1000
"""Tokens whose signature is not computed again; their times are looked at with every request."""


@dataclass(frozen=True, slots=True)
class Access:
    """How callers show who they are."""

    providers: dict[str, Json]
    always: bool
    """Whether nothing at all is served without a token."""
    identity: list[Json]
    """The filters that make of a token what may be known of its owner."""


def access_to(served: Sequence[Served], namespace: str, callers: Callers) -> Access | None:
    """Return how callers of these models show who they are; None where none has to."""
    if not any(each.is_guarded for each in served):
        return None
    providers: dict[str, Json] = {}
    if callers.keys is not None and any(each.takes_keys for each in served):
        providers[KEY] = _local(KEY, issuer(namespace), AUDIENCE, callers.keys.jwks)
    if callers.cluster is not None and any(each.accounts for each in served):
        signer = callers.cluster
        audience = account_audience(namespace)
        providers[ACCOUNT] = _local(ACCOUNT, signer.issuer, audience, signer.jwks)
    for trust, said in named_by(served).items():
        providers[trust.place] = _provider(trust.place, remote_provider(trust, said))
    always = all(each.is_guarded for each in served)
    return Access(providers, always, caller_filters(served))


def account_audience(namespace: str) -> str:
    """Name for whom a service account's token must be made: no other gateway can use it."""
    return f"{AUDIENCE}.{namespace}"


def verified_tokens(access: Access, ready_path: str) -> list[Json]:
    """Return the filter; it acts before bodies are read where nothing is open to all."""
    if not access.providers:
        return []
    known: list[Json] = [{"provider_name": each} for each in access.providers]
    if not access.always:
        known.append({"allow_missing_or_failed": {}})
    requires = known[0] if len(known) == 1 else {"requires_any": {"requirements": known}}
    ready: Json = {"match": {"path": ready_path}}
    rest: Json = {"match": {"prefix": "/"}, "requires": requires}
    return [
        http_filter(
            JWT_FILTER,
            "jwt_authn.v3.JwtAuthentication",
            providers=access.providers,
            rules=[ready, rest],
        )
    ]


def _local(place: str, who: str, audience: str, jwks: str) -> Json:
    own: dict[str, Json] = {
        "issuer": who, "audiences": [audience], "local_jwks": {"inline_string": jwks},
        "jwt_cache_config": {"jwt_cache_size": _REMEMBERED},
    }  # fmt: skip
    return _provider(place, own)


def _provider(place: str, own: dict[str, Json]) -> Json:
    return {
        **own,
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "payload_in_metadata": place,
        "clock_skew_seconds": _CLOCK_SKEW_SECONDS,
    }
