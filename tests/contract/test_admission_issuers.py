"""What the apiserver refuses of an OIDC issuer: addresses in place of names, other than https."""

from typing import Any

import pytest

from paddock.errors import ApiError
from paddock.kube.real import RealCluster
from support.declared import declared_pool

pytestmark = pytest.mark.contract


ISSUER: dict[str, Any] = {
    "issuer": "https://login.example.com/team",
    "audiences": ["paddock"],
    "jwksUri": "https://login.example.com/keys",
}


def trusting(**more: Any) -> dict[str, Any]:
    """Return the spec of a pool that takes an issuer's tokens; None leaves a field out."""
    told = {name: value for name, value in {**ISSUER, **more}.items() if value is not None}
    return {"gateway": {"auth": {"issuers": [told]}}}


_PEM = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
_SECRET = _PEM.replace("CERTIFICATE", "PRIVATE KEY")
_PATH = "spec.gateway.auth.issuers"
_HOSTS = (
    "127.0.0.1", "169.254.169.254", "10.0.0.1", "2130706433", "0x7f.1", "0x7f000001",
    "017700000001", "[::1]", "[fd00:ec2::254]", "localhost", "localhost:9901", "x.localhost",
    "localhost.localdomain", "user@login.example.com", "user:secret@login.example.com",
    "login.example.com:0", "login.example.com:65536", "login.example.com:99999", "",
    "LOGIN.example.com", "login.example.com.", "-x.example.com", "login..example.com",
    "login.example.com\\@10.0.0.1", "1.2.3.4#.example.com", "login_example.com",
    "login.example.com#x",
)  # fmt: skip
BAD_ISSUERS: list[tuple[dict[str, Any], str]] = [
    *((trusting(jwksUri=f"https://{host}/keys"), _PATH) for host in _HOSTS),
    (trusting(jwksUri="http://login.example.com/keys"), _PATH + "[0].jwksUri"),
    (trusting(jwksUri="https://login.example.com/a b"), _PATH + "[0].jwksUri"),
    (trusting(jwksUri=None), _PATH + "[0].jwksUri"),
    (trusting(issuer="http://login.example.com"), _PATH + "[0].issuer"),
    (trusting(issuer="paddock/team"), _PATH + "[0].issuer"),
    (trusting(audiences=[]), _PATH + "[0].audiences"),
    (trusting(audiences=None), _PATH + "[0].audiences"),
    (trusting(audiences=[""]), _PATH + "[0].audiences[0]"),
    (trusting(modelsClaim='x"]'), _PATH + "[0].modelsClaim"),
    (trusting(identityClaim=""), _PATH + "[0].identityClaim"),
    (trusting(certificateAuthority="x"), _PATH + "[0].certificateAuthority"),
    (trusting(certificateAuthority=_SECRET), _PATH + "[0].certificateAuthority"),
    (trusting(certificateAuthority=_PEM + _SECRET), _PATH + "[0].certificateAuthority"),
    ({"gateway": {"auth": {"issuers": []}}}, _PATH),
    ({"gateway": {"auth": {"issuers": [ISSUER, ISSUER]}}}, _PATH),
    ({"gateway": {"auth": {}}}, "spec.gateway.auth"),
]
GOOD_ISSUERS: list[dict[str, Any]] = [
    trusting(),
    trusting(jwksUri="https://dex.auth.svc.cluster.local:5556/dex/keys", modelsClaim="models"),
    trusting(jwksUri="https://keycloak:8443/realms/a/certs?x=1", identityClaim="https://a.b/who"),
    trusting(jwksUri="https://login.example.com:65535"),
    trusting(certificateAuthority=_PEM),
]


async def test_bad_issuers_are_refused_with_their_path(
    cluster: RealCluster, namespace: str
) -> None:
    for spec, path in BAD_ISSUERS:
        with pytest.raises(ApiError) as refused:
            await cluster.apply(declared_pool(namespace, spec))
        assert path in str(refused.value), spec


async def test_good_issuers_are_taken_as_they_are(cluster: RealCluster, namespace: str) -> None:
    for spec in GOOD_ISSUERS:
        wanted = declared_pool(namespace, spec)
        assert (await cluster.apply(wanted))["spec"] == wanted["spec"]
