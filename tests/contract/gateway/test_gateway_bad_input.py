"""Bad input at a real Envoy: the right refusal, nothing smuggled, and the others are served."""

import json
import resource
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from paddock.plan.gateway.bootstrap import LISTENERS_FILE
from paddock.plan.gateway.limits import BODY_BYTES
from paddock.plan.gateway.reading import ROOM_BYTES
from paddock.plan.gateway.rendering import Rendering
from paddock.plan.gateway.xds import typed
from paddock.wire import Json
from support.answering import Answering
from support.envoys import Gateway
from support.two_engines import serving_two

pytestmark = pytest.mark.contract
PATH = "/v1/completions"
BODY = b'{"model":"alpha","prompt":"hi"}'
SECONDS = 60.0
IDLE_CONNECTIONS = 10_000
SLOW_CALLERS = 300
MEBIBYTE = 1024 * 1024
POD_BYTES = 512 * MEBIBYTE


@pytest.fixture(scope="module")
def front(
    engines: Mapping[str, Answering], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Serve two models; slow callers are waited for a second instead of ten and more."""
    with serving_two(tmp_path_factory.mktemp("front"), engines, hurried) as running:
        yield running


def hurried(rendering: Rendering) -> Rendering:
    text = json.dumps(rendering.listeners)
    for waits in ('"request_headers_timeout": "10s"', '"request_timeout": "120s"'):
        name, _, _ = waits.partition(":")
        assert waits in text
        text = text.replace(waits, f'{name}: "1s"')
    listeners: list[Mapping[str, Json]] = json.loads(text)
    quick = replace(rendering, listeners=listeners)
    assert '"1s"' in quick.files[LISTENERS_FILE]
    return quick


def said(front: Gateway, *parts: bytes) -> bytes:
    """Send these bytes and return all that comes until the other side has had enough."""
    with socket.create_connection(("127.0.0.1", front.place.port), timeout=SECONDS) as connection:
        for part in parts:
            connection.sendall(part)
        return until_closed(connection)


def until_closed(connection: socket.socket) -> bytes:
    heard = b""
    while piece := connection.recv(65_536):
        heard += piece
    return heard


def head(*lines: str, path: str = PATH) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *lines, "", ""]).encode()


def statuses(heard: bytes) -> list[int]:
    return [int(line.split()[1]) for line in heard.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize(
    "sent",
    [b"POST /v1/comp", head("X-Slow: 1")[:-2], head("Content-Length: 31") + BODY[:5]],
    ids=["line", "headers", "body"],
)
def test_caller_that_does_not_come_to_an_end_gets_a_408(front: Gateway, sent: bytes) -> None:
    assert statuses(said(front, sent)) == [408]


@pytest.mark.parametrize(
    "headers",
    [{f"x-{number}": "1" for number in range(101)}, {"x-long": "x" * 33_000}],
    ids=["many", "long"],
)
def test_flood_of_headers_is_a_431(front: Gateway, headers: dict[str, str]) -> None:
    answer = httpx.post(front.url + PATH, content=BODY, headers=headers, timeout=SECONDS)

    assert answer.status_code == 431


LENGTH = f"Content-Length: {len(BODY)}"
INNER = b"POST /api/pull HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
SMUGGLED = {
    "length and chunks": head(LENGTH, "Transfer-Encoding: chunked") + CHUNKED + INNER,
    "chunks and length": head("Transfer-Encoding: chunked", "Content-Length: 4") + CHUNKED + INNER,
    "two lengths": head(LENGTH, "Content-Length: 0") + BODY + INNER,
    "lengths in one": head(f"{LENGTH}, 0") + BODY + INNER,
    "signed length": head(f"Content-Length: +{len(BODY)}") + BODY + INNER,
    "negative length": head("Content-Length: -1") + BODY + INNER,
    "hexadecimal length": head("Content-Length: 0x1f") + BODY + INNER,
    "huge length": head("Content-Length: 99999999999999999999999") + BODY + INNER,
    "unknown coding": head("Transfer-Encoding: xchunked") + CHUNKED + INNER,
    "coding twice": head("Transfer-Encoding: chunked", "Transfer-Encoding: identity") + CHUNKED,
    "coding with a space": head("Transfer-Encoding : chunked", LENGTH) + CHUNKED + INNER,
    "coding on a second line": head("Transfer-Encoding:\r\n chunked", LENGTH) + CHUNKED + INNER,
    "bad chunk": head("Transfer-Encoding: chunked") + b"zz\r\n" + BODY + INNER,
    "huge chunk": head("Transfer-Encoding: chunked") + b"f" * 17 + b"\r\n" + BODY + INNER,
    "nul in a header": head("X-A: \x00", LENGTH) + BODY + INNER,
    "no host": f"POST {PATH} HTTP/1.1\r\n{LENGTH}\r\n\r\n".encode() + BODY + INNER,
    "old version": f"POST {PATH} HTTP/0.9\r\n{LENGTH}\r\n\r\n".encode() + BODY,
    "escaped slash": head(LENGTH, path="/v1%2fcompletions") + BODY + INNER,
    "not http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_request_that_can_be_read_in_two_ways_is_refused_as_a_whole(
    front: Gateway, engines: Mapping[str, Answering], name: str
) -> None:
    before = len(engines["alpha"].paths)
    refused = statuses(said(front, SMUGGLED[name]))

    assert refused, "there was no answer"
    assert set(refused) <= {400, 403, 404, 408, 413, 426, 501}
    assert engines["alpha"].paths[before:] == []


def test_last_of_several_models_is_the_one_as_engines_read_it(front: Gateway) -> None:
    for content in (b'{"model":"alpha","model":"beta"}', b'{"model":"alpha","\\u006dodel":"beta"}'):
        answer = httpx.post(front.url + PATH, content=content, timeout=SECONDS)
        assert answer.json() == {"by": "beta"}


def test_headers_that_are_the_gateways_own_or_ambiguous_do_not_reach_engines(
    front: Gateway, engines: Mapping[str, Answering]
) -> None:
    sent = {"x-paddock-pool": "team/b", "x_paddock_pool": "team/b", "authorization": "Bearer x"}
    answer = httpx.post(front.url + PATH, content=BODY, headers=sent, timeout=SECONDS)

    assert answer.status_code == 200
    assert not set(sent) & set(engines["alpha"].headers[-1])


@contextmanager
def held(front: Gateway, count: int, sent: bytes = b"") -> Iterator[list[socket.socket]]:
    """Open connections, and say the beginning of a request on each."""
    with ExitStack() as opened:
        connections = []
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", front.place.port), timeout=SECONDS)
            connections.append(opened.enter_context(connection))
            connection.sendall(sent)
        yield connections


def answered(front: Gateway, count: int = 20) -> list[int]:
    return [
        httpx.post(front.url + PATH, content=BODY, timeout=SECONDS).status_code
        for _ in range(count)
    ]


def test_many_idle_connections_leave_the_memory_bounded_and_the_others_served(
    front: Gateway,
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE_CONNECTIONS, hard - 1_000)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        with held(front, count):
            until_accepted(front, count)
            assert answered(front) == [200] * 20
            assert memory(front) < POD_BYTES / 2
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    "sent",
    [head("X-Slow: 1")[:-2], head("Content-Length: 31") + BODY[:5]],
    ids=["headers", "body"],
)
def test_many_slow_callers_get_a_408_each_and_the_others_are_served(
    front: Gateway, engines: Mapping[str, Answering], sent: bytes
) -> None:
    before = engines["alpha"].asked
    with held(front, SLOW_CALLERS, sent) as slow:
        assert answered(front) == [200] * 20
        heard = [statuses(until_closed(each)) for each in slow]

    assert heard == [[408]] * SLOW_CALLERS
    assert engines["alpha"].asked == before + 20


def test_bodies_beyond_their_room_are_refused_and_the_others_are_served(
    engines: Mapping[str, Answering], tmp_path: Path
) -> None:
    begun = head(f"Content-Length: {BODY_BYTES}") + b'{"model":"alpha","prompt":"'
    count = 2 * ROOM_BYTES // BODY_BYTES
    with serving_two(tmp_path, engines) as front, held(front, count, begun) as large:
        for connection in large:
            connection.sendall(b"x" * (BODY_BYTES - MEBIBYTE))
        assert answered(front) == [200] * 20
        assert memory(front, "VmHWM") < POD_BYTES / 2
        large[-1].sendall(b"x" * MEBIBYTE)
        refused = refusal(large[-1].recv(65_536))
        for connection in large:
            connection.close()
        until_room(front)

    assert refused == (503, "overloaded")


def refusal(heard: bytes) -> tuple[int, str]:
    """Return the status and the code of an answer that has come in one piece."""
    (status,) = statuses(heard)
    return status, json.loads(heard.partition(b"\r\n\r\n")[2])["error"]["code"]


def until_room(front: Gateway) -> None:
    """Ask with a large body until it is answered: the callers that held the room are gone."""
    content = b'{"model":"alpha","prompt":"%s"}' % (b"x" * (BODY_BYTES - MEBIBYTE))
    deadline = time.monotonic() + SECONDS
    while httpx.post(front.url + PATH, content=content, timeout=SECONDS).status_code != 200:
        assert time.monotonic() < deadline, "the room was not given back"


def test_gateway_whose_memory_is_full_takes_nothing_until_it_has_room_again(
    engines: Mapping[str, Answering], tmp_path: Path
) -> None:
    filled = tmp_path / "filled"
    fill(filled, 0.5)
    with serving_two(tmp_path, engines, lambda made: measuring(made, filled)) as front:
        assert answered(front) == [200] * 20
        fill(filled, 1.0)
        until_served(front, wanted=False)
        before = engines["alpha"].asked
        assert not any(is_served(front) for _ in range(4))
        assert engines["alpha"].asked == before
        fill(filled, 0.5)
        until_served(front, wanted=True)
        assert answered(front) == [200] * 20


def measuring(rendering: Rendering, filled: Path) -> Rendering:
    """Let a file say how full memory is: Envoy's own way to try what it does then."""
    start = json.loads(rendering.bootstrap)
    heap, _ = start["overload_manager"]["resource_monitors"]
    assert heap["typed_config"].pop("max_heap_size_bytes") < POD_BYTES
    heap["typed_config"] = typed(
        "extensions.resource_monitors.injected_resource.v3.InjectedResourceConfig",
        filename=str(filled),
    )
    return replace(rendering, bootstrap=json.dumps(start))


def fill(filled: Path, part: float) -> None:
    """Say how full memory is; Envoy looks again when a file is moved there."""
    new = filled.with_suffix(".new")
    new.write_text(str(part))
    new.replace(filled)


def is_served(front: Gateway) -> bool:
    """Ask once; whom a full Envoy does not serve hears 503, or has the connection closed."""
    try:
        answer = httpx.post(front.url + PATH, content=BODY, timeout=SECONDS)
    except (httpx.RemoteProtocolError, httpx.NetworkError):
        return False
    assert answer.status_code in (200, 503), answer.text
    return answer.status_code == 200


def until_served(front: Gateway, *, wanted: bool) -> None:
    deadline = time.monotonic() + SECONDS
    while is_served(front) is not wanted:
        assert time.monotonic() < deadline, "how full memory is was not heeded"


def until_accepted(front: Gateway, wanted: int) -> None:
    deadline = time.monotonic() + SECONDS
    while (count := connections(front)) < wanted:
        assert time.monotonic() < deadline, f"{count} connections were accepted"
        time.sleep(0.05)


def connections(front: Gateway) -> int:
    admin = f"http://127.0.0.1:{front.place.admin_port}/stats?format=json&filter="
    found = httpx.get(f"{admin}http.gateway.downstream_cx_active", timeout=SECONDS).json()
    return int(found["stats"][0]["value"])


def memory(front: Gateway, which: str = "VmRSS") -> int:
    """Return the bytes that Envoy has now, or has had at most."""
    status = Path(f"/proc/{front.process.pid}/status").read_text()
    return int(status.partition(f"{which}:")[2].split()[0]) * 1024
