"""kopf as the watch layer: every event goes into the cache and wakes the passes it concerns.

No handler decides, patches or keeps anything in an object; kopf's own finalizers, annotations and
events are off. One of the two modules that import kopf.
"""

import random
from collections.abc import Callable
from typing import Any, cast

import kopf

from paddock import kinds, names
from paddock.facts import Key, Kind
from paddock.kube.cache import Cache
from paddock.queue import Queue
from paddock.routes import keys_for
from paddock.wire import Manifest

_SELECTOR = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
_SERVER_SECONDS = 300
_SILENCE_SECONDS = 70


class Wakeups:
    """Feeds the cache and the queue from events, whoever brings them."""

    def __init__(self, cache: Cache, queue: Queue[Key]) -> None:
        self._cache, self._queue = cache, queue

    def changed(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that is there."""
        if self._cache.put(kind, manifest):
            self.wake(kind, manifest)

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that was deleted."""
        self._cache.remove(kind, manifest)
        self.wake(kind, manifest)

    def wake(self, kind: Kind, manifest: Manifest) -> None:
        """Queue the passes an object concerns."""
        metadata = manifest.get("metadata")
        namespace = str(metadata.get("namespace")) if isinstance(metadata, dict) else ""
        pools = self._cache.list(kinds.INFERENCE_POOLS, namespace)
        models = self._cache.list(kinds.LOCAL_MODELS, namespace)
        for key in keys_for(kind, manifest, pools, models):
            self._queue.add(key)


def build_registry(wakeups: Wakeups) -> kopf.OperatorRegistry:
    """Return the registry: one event handler per kind, and the login."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login)
    for kind in (*kinds.OWN, *kinds.WATCHED_CHILDREN):
        handler = _handler(wakeups, kind)
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)(
            handler
        )
    return registry


def _handler(wakeups: Wakeups, kind: Kind) -> Callable[..., None]:
    def on_event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf's own keyword arguments
        manifest = cast("Manifest", event["object"])  # kopf types values as object
        if event["type"] == "DELETED":
            wakeups.gone(kind, manifest)
        else:
            wakeups.changed(kind, manifest)

    return on_event


def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:  # noqa: ANN401 - kopf's own keyword arguments
    return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)


def build_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: watch only, label-selected on the server, no writes."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.watching.server_timeout = _SERVER_SECONDS + random.uniform(0, 30)  # noqa: S311 - jitter
    settings.watching.client_timeout = None
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    for kind in kinds.WATCHED_CHILDREN:
        settings.watching.label_selectors[kind.group, kind.plural] = _SELECTOR
    return settings


async def watch(wakeups: Wakeups, namespace: str | None) -> None:
    """Watch until kopf ends, which a supervisor turns into another start."""
    await kopf.operator(
        registry=build_registry(wakeups),
        settings=build_settings(),
        standalone=True,
        clusterwide=namespace is None,
        namespaces=[namespace] if namespace else [],
    )
