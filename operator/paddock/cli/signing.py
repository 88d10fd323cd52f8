"""API keys: signed tokens, what is kept of them, and the public half that gateways verify them by.

Pure but for randomness. A token is never kept: its record holds an id, and who it is for.
"""

import base64
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from paddock.clock import parse_rfc3339, rfc3339
from paddock.plan.gateway.key_ring import AUDIENCE
from paddock.wire import Json

_BYTES = 32
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_KEPT = timedelta(days=1)
"""How long a record outlives its key: clocks differ."""


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What is kept of a key."""

    id: str
    name: str
    created: str
    expires: str | None
    models: tuple[str, ...]
    revoked: bool = False

    @classmethod
    def of(cls, value: Mapping[str, Json]) -> Self:
        """Read one record."""
        models, expires = value.get("models"), value.get("expires")
        return cls(
            id=str(value["id"]),
            name=str(value.get("name", "")),
            created=str(value.get("created", "")),
            expires=expires if isinstance(expires, str) else None,
            models=tuple(map(str, models)) if isinstance(models, list | tuple) else (),
            revoked=value.get("revoked") is True,
        )

    def value(self) -> Json:
        """Return the record as it is written."""
        return {
            "id": self.id, "name": self.name, "created": self.created, "expires": self.expires,
            "models": list(self.models), "revoked": self.revoked,
        }  # fmt: skip

    def is_over(self, now: datetime) -> bool:
        """Tell whether the key has ended so long ago that nobody can take it for good."""
        return self.expires is not None and parse_rfc3339(self.expires) + _KEPT < now


def new_record(
    name: str, models: Sequence[str], lifetime: timedelta | None, now: datetime
) -> KeyRecord:
    """Return the record of a new key."""
    expires = rfc3339(now + lifetime) if lifetime is not None else None
    return KeyRecord(secrets.token_hex(6), name, rfc3339(now), expires, tuple(models))


def lifetime_of(text: str) -> timedelta | None:
    """Read a lifetime such as 30d or 12h; `never` is None. Raises ValueError for anything else."""
    if text == "never":
        return None
    found = re.fullmatch(r"([1-9][0-9]{0,4})([mhd])", text)
    if found is None:
        raise ValueError(f"{text} is no lifetime: say 30d, 12h, 45m or never.")
    return timedelta(**{_UNITS[found[2]]: int(found[1])})


def without_old(records: Sequence[KeyRecord], now: datetime) -> tuple[KeyRecord, ...]:
    """Return the records less those of keys that ended long ago."""
    return tuple(each for each in records if not each.is_over(now))


def revoked(records: Sequence[KeyRecord], key: str) -> tuple[KeyRecord, ...] | None:
    """Return the records with one key revoked, or None where there is no such key."""
    if key not in {each.id for each in records}:
        return None
    return tuple(replace(each, revoked=True) if each.id == key else each for each in records)


def new_private_key() -> bytes:
    """Make what signs a namespace's keys, as PEM."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def public_key(private: bytes) -> dict[str, Json]:
    """Return the public half as one key of a JWKS."""
    numbers = _loaded(private).public_key().public_numbers()
    point = {"x": _encoded(numbers.x.to_bytes(_BYTES)), "y": _encoded(numbers.y.to_bytes(_BYTES))}
    digest = hashes.Hash(hashes.SHA256())
    digest.update(json.dumps(point, sort_keys=True).encode())
    return {
        "kty": "EC", "crv": "P-256", **point, "alg": "ES256", "use": "sig",
        "kid": digest.finalize().hex()[:16],
    }  # fmt: skip


def token_of(record: KeyRecord, issuer: str, private: bytes) -> str:
    """Sign the token of a record; it is shown once and kept nowhere."""
    claims: dict[str, Json] = {
        "iss": issuer, "aud": AUDIENCE, "sub": record.name, "jti": record.id,
        "iat": int(parse_rfc3339(record.created).timestamp()), "models": list(record.models),
    }  # fmt: skip
    if record.expires is not None:
        claims["exp"] = int(parse_rfc3339(record.expires).timestamp())
    header: Json = {"alg": "ES256", "typ": "JWT", "kid": public_key(private)["kid"]}
    signed = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    der = _loaded(private).sign(signed.encode(), ec.ECDSA(hashes.SHA256()))
    r, s = decode_dss_signature(der)
    return f"{signed}.{_encoded(r.to_bytes(_BYTES) + s.to_bytes(_BYTES))}"


def _loaded(private: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_pem_private_key(private, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise TypeError("not a key of ours")
    return key


def _encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
