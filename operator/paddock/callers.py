"""By what a gateway knows its callers: frozen records, public keys only. Pure data."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KeyScope:
    """Keys that are for the same models, and not for all."""

    models: frozenset[str]
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class KeyRing:
    """What is public of a namespace's API keys."""

    jwks: str
    revoked: frozenset[str] = frozenset()
    """Ids of keys that are good no more."""
    scopes: tuple[KeyScope, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenIssuer:
    """Who signs the tokens of the cluster's service accounts, and by which public keys."""

    issuer: str
    jwks: str


@dataclass(frozen=True, slots=True)
class Callers:
    """By what the gateway knows its callers."""

    keys: KeyRing | None = None
    cluster: TokenIssuer | None = None
    """Only where some pool accepts service accounts."""
