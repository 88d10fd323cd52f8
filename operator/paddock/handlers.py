"""kopf as the watch layer: every event goes into the cache and wakes the passes it concerns.

No handler decides, patches or keeps anything in an object; kopf's own finalizers, annotations and
events are off. One of the two modules that import kopf.
"""

import asyncio
import contextlib
import random
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol, cast

import kopf

from paddock import kinds, names
from paddock.facts import Key, Kind
from paddock.kube.cache import Cache, place_of
from paddock.kube.credentials import Credentials
from paddock.queue import Queue
from paddock.routes import is_observed, keys_for
from paddock.wire import Manifest

_SELECTOR = f"{names.MANAGED_BY_LABEL}={names.MANAGED_BY}"
_SERVER_SECONDS = 300
_SILENCE_SECONDS = 70
_PAGE = 100
_IDLE_SECONDS = 0.1
"""How long kopf keeps a task, and in it the last event, of an object that is quiet again."""
_JOIN_SECONDS = 5.0


class Sink(Protocol):
    """Takes events."""

    def changed(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that changed."""
        ...

    def relisted_with(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that a list by the watch layer brought."""
        ...

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that was deleted."""
        ...


class Wakeups:
    """Feeds the cache and the queue from events, whoever brings them.

    An object's own change wakes it at once; changes around it come in bursts, and are gathered for
    `settle` seconds.
    """

    def __init__(self, cache: Cache, queue: Queue[Key], settle: float) -> None:
        self._cache, self._queue, self._settle = cache, queue, settle
        self.relisted = asyncio.Event()
        """Set when a list came by watch: then deletions may have been missed."""

    def changed(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that changed.

        A write of our own comes back as an event with what we know already. A status concerns
        others only; but a spec may have changed just before our write, and was then never news.
        """
        before = self._before(kind, manifest)
        news = self._cache.put(kind, manifest)
        if news == "same" and kind in kinds.OWN and is_observed(manifest):
            self.wake(kind, manifest, before=before, itself=False)
        elif news != "older":
            self.wake(kind, manifest, before=before)

    def listed(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that is there; it wakes passes only if it is news.

        Our own write may have brought a spec that no pass has seen: that is news here too. One
        that was seen, as thousands are after a restart, goes behind whatever changes meanwhile.
        """
        before = self._before(kind, manifest)
        news = self._cache.put(kind, manifest)
        unseen = kind in kinds.OWN and not is_observed(manifest)
        if news == "newer" or (news == "same" and unseen):
            self.wake(kind, manifest, before=before, behind=not unseen)

    def relisted_with(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that a list by the watch layer brought: deletions may be missing."""
        self.relisted.set()
        self.listed(kind, manifest)

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        """Take an object that was deleted."""
        self._cache.remove(kind, manifest)
        self.wake(kind, manifest, gone=True)

    def wake(
        self,
        kind: Kind,
        manifest: Manifest,
        *,
        before: Manifest | None = None,
        gone: bool = False,
        itself: bool = True,
        behind: bool = False,
    ) -> None:
        """Queue the passes an object concerns; `itself` is whether its own pass is among them.

        Its own may be to come `behind` those of news.
        """
        own = Key(kind.plural, *place_of(manifest)) if kind in kinds.OWN else None
        for key in set(keys_for(kind, manifest, self._cache, before=before, gone=gone)):
            if key != own:
                self._queue.add(key, self._settle)
            elif itself:
                self._queue.add(key, behind=behind)

    def _before(self, kind: Kind, manifest: Manifest) -> Manifest | None:
        metadata = manifest.get("metadata")
        if kind not in kinds.OWN or not isinstance(metadata, Mapping):
            return None
        return self._cache.get(kind, str(metadata.get("namespace")), str(metadata.get("name")))


Login = Callable[[], Awaitable[Credentials]]


def build_registry(sink: Sink, watched: Iterable[Kind], login: Login) -> kopf.OperatorRegistry:
    """Return the registry: one event handler per kind, and the login."""
    registry = kopf.OperatorRegistry()

    async def log_in(**_: Any) -> kopf.ConnectionInfo:  # noqa: ANN401 - kopf's own keyword arguments
        return connection_info(await login())

    kopf.on.login(registry=registry)(log_in)
    for kind in watched:
        handler = _handler(sink, kind)
        name = kinds.resource_of(kind)
        kopf.on.event(kind.group, kind.version, kind.plural, registry=registry, id=name)(handler)
    return registry


def connection_info(credentials: Credentials) -> kopf.ConnectionInfo:
    """Return our credentials as kopf takes them."""
    return kopf.ConnectionInfo(
        server=credentials.server,
        ca_path=credentials.ca_file,
        insecure=not credentials.verifies,
        certificate_path=credentials.certificate_file,
        private_key_path=credentials.key_file,
        scheme="Bearer" if credentials.token else None,
        token=credentials.token,
    )


def _handler(sink: Sink, kind: Kind) -> Callable[..., Coroutine[None, None, None]]:
    """Return the handler; one that were not a coroutine would get a thread for each event."""

    async def on_event(event: kopf.RawEvent, **_: Any) -> None:  # noqa: ANN401 - kopf's own keyword arguments
        manifest = cast("Manifest", event["object"])  # kopf types values as object
        if event["type"] == "DELETED":
            sink.gone(kind, manifest)
        elif event["type"] is None:
            sink.relisted_with(kind, manifest)
        else:
            sink.changed(kind, manifest)

    return on_event


class _NoDifferences(kopf.DiffBaseStorage):
    """Keeps no copy of what was handled: kopf makes one of each event, and nobody compares."""

    def build(self, **_: Any) -> Any:  # noqa: ANN401 - kopf's own type is not public
        return {}

    def fetch(self, **_: Any) -> None:  # noqa: ANN401 - the same
        return None

    def store(self, **_: Any) -> None:  # noqa: ANN401 - the same
        return


def build_settings() -> kopf.OperatorSettings:
    """Return kopf's settings: watch only, label-selected on the server, no writes."""
    settings = kopf.OperatorSettings()
    settings.persistence.diffbase_storage = _NoDifferences()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.networking.connect_timeout = 5
    settings.networking.request_timeout = 30
    settings.watching.server_timeout = _SERVER_SECONDS + random.randrange(30)  # noqa: S311 - jitter
    settings.watching.client_timeout = None
    settings.watching.inactivity_timeout = _SILENCE_SECONDS
    settings.watching.chunk_size = _PAGE
    settings.queueing.idle_timeout = _IDLE_SECONDS
    for kind in (*kinds.WATCHED_CHILDREN, *kinds.OPTIONAL):
        settings.watching.label_selectors[kind.group, kind.plural] = _SELECTOR
    return settings


async def watch(
    wakeups: Wakeups, watched: Iterable[Kind], namespace: str | None, login: Login
) -> None:
    """Watch until kopf ends, which a supervisor turns into another start.

    kopf has a thread and a loop of its own, because in the main thread it takes SIGTERM for itself
    and the process would outlive it (kopf 1.45.2, reactor/running.py). Events come back to the
    loop that all else runs on.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()

    async def log_in() -> Credentials:
        asked = asyncio.run_coroutine_threadsafe(_awaited(login()), loop)
        return await asyncio.wrap_future(asked)

    async def run() -> None:
        try:
            await kopf.operator(
                registry=build_registry(_Crossing(wakeups, loop), watched, log_in),
                settings=build_settings(),
                standalone=True,
                clusterwide=namespace is None,
                namespaces=[namespace] if namespace else [],
                stop_flag=stop,
            )
        finally:
            stop.set()  # a worker thread of kopf's waits for it, and the loop's end for that thread

    def body() -> None:
        try:
            asyncio.run(run())
            _settle(loop, ended, None)
        except Exception as error:  # noqa: BLE001 - handed to the supervisor
            _settle(loop, ended, error)

    thread = threading.Thread(target=body, name="kopf", daemon=True)
    thread.start()
    try:
        await asyncio.shield(ended)
    finally:
        stop.set()
        await asyncio.to_thread(thread.join, _JOIN_SECONDS)


async def _awaited(awaitable: Awaitable[Credentials]) -> Credentials:
    return await awaitable


class _Crossing:
    """Takes events in kopf's thread and hands them to the main loop."""

    def __init__(self, wakeups: Wakeups, loop: asyncio.AbstractEventLoop) -> None:
        self._wakeups, self._loop = wakeups, loop

    def changed(self, kind: Kind, manifest: Manifest) -> None:
        self._call(self._wakeups.changed, kind, manifest)

    def relisted_with(self, kind: Kind, manifest: Manifest) -> None:
        self._call(self._wakeups.relisted_with, kind, manifest)

    def gone(self, kind: Kind, manifest: Manifest) -> None:
        self._call(self._wakeups.gone, kind, manifest)

    def _call(self, take: Callable[[Kind, Manifest], None], kind: Kind, manifest: Manifest) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(take, kind, manifest)


def _settle(
    loop: asyncio.AbstractEventLoop, ended: "asyncio.Future[None]", error: Exception | None
) -> None:
    """Say in the main loop how the watch ended, unless nobody waits for it any more."""

    def settle() -> None:
        if not ended.done():
            ended.set_exception(error) if error else ended.set_result(None)

    with contextlib.suppress(RuntimeError):  # the loop has ended
        loop.call_soon_threadsafe(settle)
