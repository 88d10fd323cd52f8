"""Who may ask: only a namespace's own gateway may have a pool of that namespace woken.

I/O. The header that names the pool is no proof: any pod that finds the activator could send one.
The caller's address must be that of a pod behind the gateway's Service in the pool's namespace.
"""

import logging
import time

from paddock import names
from paddock.activator.answers import Answer, RefusedError
from paddock.activator.apiserver import Apiserver
from paddock.activator.targets import hosts_of

log = logging.getLogger("paddock.activator")
_KNOWN_SECONDS = 5.0
_MOST_KNOWN = 4096


class Peers:
    """The gateways' addresses, as far as they were asked for."""

    def __init__(self, apiserver: Apiserver) -> None:
        self._apiserver = apiserver
        self._known: dict[str, tuple[float, frozenset[str]]] = {}

    async def check(self, host: str | None, namespace: str) -> None:
        """Refuse a caller that is not the gateway of the namespace."""
        until, hosts = self._known.get(namespace, (0.0, frozenset()))
        if host not in hosts or until < time.monotonic():
            hosts = hosts_of(await self._apiserver.slices(namespace, names.GATEWAY))
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            self._known[namespace] = (time.monotonic() + _KNOWN_SECONDS, hosts)
        if host not in hosts:
            log.warning("refused %s, which is no gateway of %s", host, namespace)
            message = "Only the gateway of the pool's namespace may ask."
            raise RefusedError(Answer(403, "forbidden", message))
