"""What users of a pool see while it changes: their requests, and the endpoints that are ready.

Users come through the namespace's gateway; some take answers whole, some as streams.
"""

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from paddock.local import builds
from paddock.local.progress import Quiet
from support.world import World

_SECONDS = 20
_WHOLE = {"prompt": "1", "max_tokens": 2}
_STREAM = {"prompt": "1", "max_tokens": 32, "stream": True}
_ENOUGH = 20
"""Answers without which nothing was seen, however quick the change was."""
_END_OF_STREAM = b"data: [DONE]"


@dataclass
class Seen:
    """What was seen of one pool; `fewest` is the lowest count of ready endpoints."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)

    @property
    def fewest(self) -> int:
        return min(self.ready)


@contextmanager
def watched(world: World, pool: str, model: str) -> Iterator[Seen]:
    """Ask the gateway without a pause, each time anew, and watch the pool's EndpointSlices."""
    seen, over = Seen(), threading.Event()
    host = str(urlsplit(world.gateway).hostname)
    asking = [
        threading.Thread(target=_ask, args=(seen, over, host, {"model": model, **what}))
        for what in (_WHOLE, _STREAM)
    ]
    with _endpoints(world, pool, seen):
        for thread in asking:
            thread.start()
        try:
            yield seen
            world.until("enough was asked", lambda: seen.answered + len(seen.failed) > _ENOUGH)
        finally:
            over.set()
            for thread in asking:
                thread.join()


def _ask(seen: Seen, over: threading.Event, host: str, body: Mapping[str, Any]) -> None:
    while not over.is_set():
        failure = _failure(host, body)
        if failure is None:
            seen.answered += 1
        else:
            seen.failed.append(failure)
        over.wait(0.05)


def _failure(host: str, body: Mapping[str, Any]) -> str | None:
    """Ask once, over a connection of its own, and return what went wrong, if anything did."""
    connection = http.client.HTTPConnection(host, 80, timeout=_SECONDS)
    try:
        headers = {"Content-Type": "application/json"}
        connection.request("POST", "/v1/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
    except (OSError, http.client.HTTPException) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        connection.close()
    whole = "stream" not in body or said.rstrip().endswith(_END_OF_STREAM)
    well = answer.status == http.HTTPStatus.OK and whole
    return None if well else f"{answer.status} {said[-200:]!r}"


@contextmanager
def _endpoints(world: World, pool: str, seen: Seen) -> Iterator[None]:
    """Follow the Service's one EndpointSlice; every change brings the count of ready endpoints."""
    kubectl = builds.ensure(["kubectl"], Quiet())["kubectl"] / "kubectl"
    shape = '{.endpoints[*].conditions.ready}{"\\n"}'  # a range prints nothing after the first
    watch = subprocess.Popen(
        [kubectl, "--kubeconfig", world.cluster.kubeconfig, "-n", world.namespace, "get",
         "endpointslices", "-l", f"kubernetes.io/service-name={pool}", "--watch",
         "-o", f"jsonpath={shape}"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    first = threading.Event()

    def follow() -> None:
        for line in watch.stdout or ():
            seen.ready.append(line.split().count("true"))
            first.set()

    following = threading.Thread(target=follow)
    following.start()
    try:
        assert first.wait(_SECONDS), "the watch brings nothing"
        yield
    finally:
        watch.terminate()
        following.join()
        watch.communicate()
