"""Whom a pool's gateway answers: keys, service accounts, and the tokens of OIDC issuers.

Pure declarations. An issuer's keys are fetched by Envoy alone, over https, from a host with a name.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from paddock.api.base import DnsSubdomain, Record

_HOST = r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)*[a-z]([-a-z0-9]{0,61}[a-z0-9])?"
"""A name and no address: its last label begins with a letter."""
_PEM = r"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=]{1,76}\n)+-----END CERTIFICATE-----\n?"
Claim = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][-A-Za-z0-9_.:/]*$", max_length=128, min_length=1)
]


class Issuer(Record):
    """One OIDC issuer whose tokens a pool takes."""

    issuer: Annotated[
        str,
        StringConstraints(pattern=r"^https://[!-~]{1,500}$", max_length=512),
        Field(description="Exactly the claim iss of its tokens; nothing is fetched from it."),
    ]
    audiences: Annotated[
        tuple[Annotated[str, StringConstraints(pattern=r"^[!-~]{1,256}$", max_length=256)], ...],
        Field(min_length=1, max_length=16, description="A token must be for one of these."),
    ]
    jwks_uri: Annotated[
        str,
        StringConstraints(
            pattern=rf"^https://{_HOST}(:[1-9][0-9]{{0,4}})?(/[-A-Za-z0-9._~/%+=&?]*)?$",
            max_length=512,
        ),
        Field(
            description="Where Envoy fetches the issuer's public keys: jwks_uri of its "
            "/.well-known/openid-configuration. https, and a host with a name."
        ),
    ]
    models_claim: Annotated[
        Claim | None,
        Field(
            description="The claim that lists the served names a token is for, or *; by default "
            "a token is for all models of the pool."
        ),
    ] = None
    identity_claim: Annotated[
        Claim | None,
        Field(
            description="The claim that tells callers apart (default sub): each has its own "
            "limits, and a hash of it is in logs and metrics."
        ),
    ] = None
    certificate_authority: Annotated[
        str | None,
        StringConstraints(pattern=rf"^({_PEM})+$", max_length=16_384),
        Field(description="PEM certificates that the host of jwksUri is verified by, and no other"),
    ] = None


class Auth(Record):
    """Who may use the pool's models, by any of these; without it, whoever reaches the gateway."""

    api_keys: Annotated[
        Literal["Accepted"] | None,
        Field(description="Callers with a key of `paddock key create` for the model."),
    ] = None
    service_accounts: Annotated[
        tuple[DnsSubdomain, ...] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Callers with a token of one of these accounts of this namespace, made "
            "for the audience paddock-gateway.NAMESPACE.",
        ),
    ] = None
    issuers: Annotated[
        tuple[Issuer, ...] | None,
        Field(
            min_length=1,
            max_length=8,
            json_schema_extra={"x-kubernetes-list-map-keys": ["issuer"]},
            description="Callers with a token of one of these OIDC issuers.",
        ),
    ] = None
