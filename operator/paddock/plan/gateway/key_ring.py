"""The public half of a namespace's API keys: who signed them, and which are revoked. Pure.

`paddock key` writes it into a ConfigMap; the private half is in a Secret that the operator has no
right to read. What is not as the command writes it counts as no key at all.
"""

import json
from collections.abc import Mapping, Sequence

from paddock.callers import KeyRing, KeyScope
from paddock.wire import Json, Manifest

JWKS_FIELD, KEYS_FIELD = "jwks.json", "keys.json"
AUDIENCE = "paddock-gateway"
EVERY_MODEL = "*"


def issuer(namespace: str) -> str:
    """Name who signs the keys of a namespace."""
    return f"paddock/{namespace}"


def key_ring(config_map: Manifest | None) -> KeyRing | None:
    """Read the ring; None where there is none."""
    data = config_map.get("data") if config_map is not None else None
    if not isinstance(data, Mapping):
        return None
    try:
        jwks = json.loads(str(data[JWKS_FIELD]))
        listed = json.loads(str(data.get(KEYS_FIELD, "[]")))
        revoked = frozenset(str(each["id"]) for each in listed if each.get("revoked"))
        scopes = _scopes([each for each in listed if not each.get("revoked")])
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    return KeyRing(public_keys(jwks), revoked, scopes) if isinstance(jwks, Mapping) else None


def _scopes(listed: Sequence[Mapping[str, Json]]) -> tuple[KeyScope, ...]:
    found: dict[tuple[str, ...], set[str]] = {}
    for each in listed:
        models = each["models"]
        names = tuple(sorted(map(str, models))) if isinstance(models, list) else ()
        if EVERY_MODEL not in names:
            found.setdefault(names, set()).add(str(each["id"]))
    return tuple(KeyScope(frozenset(names), frozenset(ids)) for names, ids in sorted(found.items()))


def public_keys(jwks: Mapping[str, Json]) -> str:
    """Keep of each key what is public, whatever else somebody put there."""
    keys = jwks.get("keys")
    known = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use")
    kept = [
        {name: each[name] for name in known if name in each}
        for each in (keys if isinstance(keys, list) else ())
        if isinstance(each, Mapping)
    ]
    return json.dumps({"keys": kept}, separators=(",", ":"), sort_keys=True)
