"""OIDC issuers as a gateway trusts them: by which keys, and from where Envoy fetches these. Pure.

Only Envoy asks a user's URL, over TLS that is verified for the host's name. Two pools that name one
issuer with different keys have two places in a request's metadata: neither opens the other's.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from paddock.api.auth import Issuer
from paddock.plan.gateway.catalog import Served
from paddock.plan.gateway.xds import address, text, typed
from paddock.wire import Json

SUBJECT = "sub"
KEPT_SECONDS = 300
"""For so long Envoy takes the keys it has; a key that an issuer replaces is good no longer."""
_FETCH_SECONDS, _RETRY_SECONDS, _CONNECT_SECONDS = 5, 5, 2
_HTTPS_PORT = 443
_AUTHORITIES = "/etc/ssl/certs/ca-certificates.crt"
"""Where Debian's, and so Envoy's own image, keep the public authorities."""
_TLS = "extensions.transport_sockets.tls.v3.UpstreamTlsContext"
_PLACE_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Trust:
    """One issuer by one set of keys."""

    issuer: str
    jwks_uri: str
    authority: str | None

    @property
    def place(self) -> str:
        """Name its cluster, and where what it says of a caller is kept."""
        whole = text([self.issuer, self.jwks_uri, self.authority])
        return f"issuer/{hashlib.sha256(whole.encode()).hexdigest()[:_PLACE_LENGTH]}"


def trust_in(issuer: Issuer) -> Trust:
    """Return by what an issuer's tokens are verified."""
    return Trust(issuer.issuer, issuer.jwks_uri, issuer.certificate_authority)


def named_by(served: Iterable[Served]) -> Mapping[Trust, tuple[Issuer, ...]]:
    """Return every trust that some pool has, with what each pool says of it."""
    found: dict[Trust, list[Issuer]] = {}
    for each in served:
        for guard in each.guards:
            for issuer in guard.issuers or ():
                found.setdefault(trust_in(issuer), []).append(issuer)
    ordered = sorted(found.items(), key=lambda known: known[0].place)
    return {trust: tuple(said) for trust, said in ordered}


def accepted_by(served: Served) -> Mapping[Trust, tuple[Issuer, ...]]:
    """Return the trusts that each pool behind a model has; a caller has to suit all they say."""
    guards = len(served.guards)
    return {trust: said for trust, said in named_by([served]).items() if len(said) == guards}


def identity_of(issuer: Issuer) -> str:
    """Return the claim that tells callers apart."""
    return issuer.identity_claim or SUBJECT


def remote_provider(trust: Trust, said: Sequence[Issuer]) -> dict[str, Json]:
    """Return what is its own in the provider of a trust: its keys are fetched ahead of requests."""
    return {
        "issuer": trust.issuer,
        "audiences": sorted({audience for each in said for audience in each.audiences}),
        "require_expiration": True,
        "remote_jwks": {
            "http_uri": {
                "uri": trust.jwks_uri, "cluster": trust.place, "timeout": f"{_FETCH_SECONDS}s",
            },
            "cache_duration": f"{KEPT_SECONDS}s",
            "async_fetch": {"failed_refetch_duration": f"{_RETRY_SECONDS}s"},
        },
    }  # fmt: skip


def issuer_cluster(trust: Trust) -> dict[str, Json]:
    """Return the cluster of the host that publishes an issuer's keys; no other name is believed."""
    url = urlsplit(trust.jwks_uri)
    host, port = url.hostname or "", url.port or _HTTPS_PORT
    verified: dict[str, Json] = {
        "trusted_ca": {"inline_string": trust.authority}
        if trust.authority is not None
        else {"filename": _AUTHORITIES},
        "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": host}}],
    }
    return typed(
        "config.cluster.v3.Cluster",
        name=trust.place,
        cluster_type={
            "name": "envoy.clusters.dns",
            "typed_config": typed(
                "extensions.clusters.dns.v3.DnsCluster",
                dns_lookup_family="ALL",
                all_addresses_in_single_endpoint=True,
            ),
        },
        connect_timeout=f"{_CONNECT_SECONDS}s",
        wait_for_warm_on_init=False,
        load_assignment={
            "cluster_name": trust.place,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port, host)}}]}],
        },
        circuit_breakers={"thresholds": [_FEW]},
        transport_socket={
            "name": "envoy.transport_sockets.tls",
            "typed_config": typed(
                _TLS, sni=host, common_tls_context={"validation_context": verified}
            ),
        },
    )


_FEW: Json = {"max_connections": 2, "max_pending_requests": 4, "max_requests": 4}
"""Callers with tokens of an issuer that is down make no storm of fetches."""
