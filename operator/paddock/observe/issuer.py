"""Who signs the tokens of the cluster's service accounts, as the apiserver tells. Reads only.

Every service account may read this (the role `system:service-account-issuer-discovery`); it holds
public keys. It is read anew every few minutes, because keys are replaced now and then.
"""

import asyncio

from paddock.callers import TokenIssuer
from paddock.clock import Clock
from paddock.kube.cluster import Cluster
from paddock.plan.gateway.key_ring import public_keys
from paddock.raw import text

_ISSUER, _KEYS = "/.well-known/openid-configuration", "/openid/v1/jwks"
_KEPT_SECONDS = 300.0


class ClusterIssuer:
    """Reads the issuer, and keeps it for a while."""

    def __init__(self, cluster: Cluster, clock: Clock) -> None:
        self._cluster, self._clock = cluster, clock
        self._known: tuple[float, TokenIssuer] | None = None

    async def issuer(self) -> TokenIssuer:
        """Return the issuer and its keys."""
        now = self._clock.monotonic()
        if self._known is None or now - self._known[0] > _KEPT_SECONDS:
            told, keys = await asyncio.gather(
                self._cluster.document(_ISSUER), self._cluster.document(_KEYS)
            )
            self._known = now, TokenIssuer(text(told, "issuer") or "", public_keys(keys))
        return self._known[1]
