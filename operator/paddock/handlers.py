"""kopf as the watch layer: every event goes into the cache and wakes the passes it concerns.

No handler decides, patches or keeps anything in an object; kopf's own finalizers, annotations and
events are off. One of the two modules that import kopf.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol, cast

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


class Sink(Protocol):
    """Takes events."""

    def changed(self, kind: Kind, manifest: Manifest, *, listed: bool) -> None:
        """Take an object that is there; `listed` if a list brought it, not a change."""
        ...

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that was deleted."""
        ...


class Wakeups:
    """Feeds the cache and the queue from events, whoever brings them."""

    def __init__(self, cache: Cache, queue: Queue[Key]) -> None:
        self._cache, self._queue = cache, queue

    def changed(self, kind: Kind, manifest: Manifest, *, listed: bool) -> None:
        """Take an object that is there; one that a list brought wakes only if it is news.

        A write of our own comes back as an event with what we know already, and concerns others.
        """
        news = self._cache.put(kind, manifest)
        if news == "newer" or (news == "same" and not listed):
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


def build_registry(sink: Sink) -> kopf.OperatorRegistry:
    """Return the registry: one event handler per kind, and the login."""
    registry = kopf.OperatorRegistry()
    kopf.on.login(registry=registry)(_login)
    for kind in (*kinds.OWN, *kinds.WATCHED_CHILDREN):
        handler = _handler(sink, kind)
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=kind.plural)(
            handler
        )
    return registry


def _handler(sink: Sink, kind: Kind) -> Callable[..., None]:
    def on_event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf's own keyword arguments
        manifest = cast("Manifest", event["object"])  # kopf types values as object
        if event["type"] == "DELETED":
            sink.gone(kind, manifest)
        else:
            sink.changed(kind, manifest, listed=event["type"] is None)

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
    settings.watching.server_timeout = _SERVER_SECONDS + random.randrange(30)  # noqa: S311 - jitter
    settings.watching.client_timeout = None
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    for kind in kinds.WATCHED_CHILDREN:
        settings.watching.label_selectors[kind.group, kind.plural] = _SELECTOR
    return settings


async def watch(wakeups: Wakeups, namespace: str | None) -> None:
    """Watch until kopf ends, which a supervisor turns into another start.

    kopf has a thread and a loop of its own, because in the main thread it takes SIGTERM for itself
    and the process would outlive it (kopf 1.45.2, reactor/running.py). Events come back to the
    loop that all else runs on.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()

    def body() -> None:
        try:
            asyncio.run(
                kopf.operator(
                    registry=build_registry(_Crossing(wakeups, loop)),
                    settings=build_settings(),
                    standalone=True,
                    clusterwide=namespace is None,
                    namespaces=[namespace] if namespace else [],
                    stop_flag=stop,
                )
            )
            _settle(loop, ended, None)
        except Exception as error:  # noqa: BLE001 - handed to the supervisor
            _settle(loop, ended, error)

    threading.Thread(target=body, name="kopf", daemon=True).start()
    try:
        await ended
    finally:
        stop.set()


class _Crossing:
    """Takes events in kopf's thread and hands them to the main loop."""

    def __init__(self, wakeups: Wakeups, loop: asyncio.AbstractEventLoop) -> None:
        self._wakeups, self._loop = wakeups, loop

    def changed(self, kind: Kind, manifest: Manifest, *, listed: bool) -> None:
        self._loop.call_soon_threadsafe(
            partial(self._wakeups.changed, kind, manifest, listed=listed)
        )

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        self._loop.call_soon_threadsafe(self._wakeups.gone, kind, manifest)


def _settle(
    loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[None]", error: Exception | None
) -> None:
    """Say in the main loop how the watch ended, unless nobody waits for it any more."""

    def settle() -> None:
        if not ended.done():
            ended.set_exception(error) if error else ended.set_result(None)

    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(settle)
