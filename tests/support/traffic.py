"""What users of a pool see while it changes: their requests, and the endpoints that are ready."""

import http.client
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from paddock.local import builds
from paddock.local.progress import Quiet
from support.world import World

_SECONDS = 20


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
def watched(world: World, pool: str, model: str, *, users: int = 2) -> Iterator[Seen]:
    """Ask a pool without a pause, each time over a new connection, and watch its EndpointSlices."""
    seen, over = Seen(), threading.Event()
    place = world.cluster.kubectl(
        "-n", world.namespace, "get", "service", pool, "-o", "jsonpath={.spec.clusterIP}"
    )
    asking = [
        threading.Thread(target=_ask, args=(seen, over, f"http://{place}", model))
        for _ in range(users)
    ]
    with _endpoints(world, pool, seen):
        for thread in asking:
            thread.start()
        try:
            yield seen
        finally:
            over.set()
            for thread in asking:
                thread.join()


def _ask(seen: Seen, over: threading.Event, url: str, model: str) -> None:
    body = json.dumps({"model": model, "prompt": "1", "max_tokens": 2})
    host = str(urlsplit(url).hostname)
    while not over.is_set():
        connection = http.client.HTTPConnection(host, 80, timeout=_SECONDS)
        try:
            connection.request(
                "POST", "/v1/completions", body, {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            said = answer.read()
            if answer.status == http.HTTPStatus.OK:
                seen.answered += 1
            else:
                seen.failed.append(f"{answer.status} {said[:200]!r}")
        except (OSError, http.client.HTTPException) as error:
            seen.failed.append(f"{type(error).__name__}: {error}")
        finally:
            connection.close()
        over.wait(0.05)


@contextmanager
def _endpoints(world: World, pool: str, seen: Seen) -> Iterator[None]:
    """Follow the Service's one EndpointSlice; every change brings the count of ready endpoints."""
    kubectl = builds.ensure(["kubectl"], Quiet())["kubectl"] / "kubectl"
    shape = '{range .endpoints[*]}{.conditions.ready}{" "}{end}{"\\n"}'
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
