"""Follows both of our kinds on an apiserver and judges every version that anybody could see.

A status that a test wrote itself, in the operator's place, is known by its field manager and left
out. The apiserver may restart, and lose and regain the kinds.
"""

import http.client
import json
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit

from paddock import names
from paddock.facts import Kind
from paddock.kinds import OWN
from paddock.local.api_client import ApiError
from paddock.local.control_plane import ControlPlane
from support.rules import Whole, broken_between, broken_object

_RETRY = 0.2
_DEADLINE = 60.0
_following: list["StatusWatch"] = []


class StatusWatch:
    """What one control plane has shown of our objects, oldest first."""

    def __init__(self, plane: ControlPlane) -> None:
        self._plane = plane
        self._followers = [Follower(plane, kind) for kind in OWN]
        self._last: dict[str, Whole] = {}

    def start(self) -> None:
        for each in self._followers:
            each.start()

    def end(self) -> None:
        for each in self._followers:
            each.end()

    def catch_up(self) -> None:
        """Wait until the version of each object that is there now has been seen."""
        client = self._plane.client()
        for each in self._followers:
            try:
                items = client.request("GET", each.path)["items"]
            except (ApiError, OSError):
                continue  # no such kind, or no apiserver: nothing to wait for
            each.wait_for(items)  # type: ignore[arg-type]  # raw JSON

    def news(self) -> Iterator[tuple[Whole | None, Whole]]:
        """Yield each version that is the product's, once, beside the one before it."""
        for follower in self._followers:
            while follower.versions:
                whole = follower.versions.popleft()
                uid = whole["metadata"]["uid"]
                before = self._last.pop(uid, None)
                if is_of_the_product(whole):
                    self._last[uid] = whole
                    if before is None or _said(before) != _said(whole):
                        yield before, whole


class Follower(threading.Thread):
    """Keeps what the apiserver shows of one kind, from its first object on."""

    def __init__(self, plane: ControlPlane, kind: Kind) -> None:
        super().__init__(name=f"follow-{kind.plural}", daemon=True)
        self.path = f"/apis/{kind.group}/{kind.version}/{kind.plural}"
        self._ended = threading.Event()
        self.versions: deque[Whole] = deque()
        self._stream: socket.socket | None = None
        self._seen: dict[str, int] = {}
        self._plane, self._from = plane, 0

    def run(self) -> None:
        while not self._ended.wait(_RETRY):
            with suppress(OSError, http.client.HTTPException, ValueError, ApiError):
                self._follow()

    def end(self) -> None:
        """Break the connection that it waits on."""
        self._ended.set()
        if self._stream is not None:
            with suppress(OSError):
                self._stream.shutdown(socket.SHUT_RDWR)
        self.join(_DEADLINE)

    def wait_for(self, items: list[Whole]) -> None:
        deadline = time.monotonic() + _DEADLINE
        wanted = {each["metadata"]["uid"]: _version(each) for each in items}
        while any(self._seen.get(uid, 0) < version for uid, version in wanted.items()):
            assert time.monotonic() < deadline, f"{self.path} is not followed to its end"
            time.sleep(0.01)

    def _follow(self) -> None:
        connection = self._connect()
        if not self._from:
            self._list()
        query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": str(self._from)}
        try:
            connection.connect()
            self._stream = connection.sock
            connection.request("GET", f"{self.path}?{urlencode(query)}")
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                self._from = 0
                return
            while line := answer.readline():
                self._take(json.loads(line))
        finally:
            connection.close()

    def _list(self) -> None:
        found: Whole = self._plane.client().request("GET", self.path)
        for each in found["items"]:
            self._keep(each)
        self._from = _version(found)

    def _take(self, event: Whole) -> None:
        if event["type"] == "ERROR":  # too old
            self._from = 0
            return
        if event["type"] in ("ADDED", "MODIFIED"):
            self._keep(event["object"])
        self._from = _version(event["object"])

    def _keep(self, whole: Whole) -> None:
        self.versions.append(whole)
        self._seen[whole["metadata"]["uid"]] = _version(whole)

    def _connect(self) -> http.client.HTTPSConnection:
        server, pki = urlsplit(self._plane.server), self._plane.folder / "pki"
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        return http.client.HTTPSConnection(str(server.hostname), server.port, context=context)


def _version(whole: Whole) -> int:
    return int(whole["metadata"]["resourceVersion"])


def _said(whole: Whole) -> tuple[object, ...]:
    metadata = whole["metadata"]
    return metadata["generation"], metadata.get("deletionTimestamp"), whole.get("status")


def is_of_the_product(whole: Whole) -> bool:
    """Tell whether nobody else has a part in the status."""
    entries = whole["metadata"].get("managedFields", ())
    writers = {each["manager"] for each in entries if each.get("subresource") == "status"}
    return writers <= {names.FIELD_MANAGER}


@contextmanager
def followed(plane: ControlPlane) -> Iterator[StatusWatch]:
    """Follow a control plane that runs."""
    watch = StatusWatch(plane)
    watch.start()
    _following.append(watch)
    try:
        yield watch
    finally:
        _following.remove(watch)
        watch.end()


def broken_since() -> list[str]:
    """Return what any followed control plane showed, since this was last asked, against a rule."""
    found: list[str] = []
    for watch in _following:
        watch.catch_up()
        for before, whole in watch.news():
            broken = [*broken_object(whole), *([] if before is None else
                                               broken_between(before, whole))]  # fmt: skip
            if broken:
                metadata = whole["metadata"]
                name = f"{whole['kind']} {metadata['namespace']}/{metadata['name']}"
                found.append("\n  ".join([name, *broken, json.dumps(whole.get("status"))]))
    return found
