"""Bad HTTP/2 at a real Envoy: refused as a whole, nothing smuggled, and the others are served."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import pytest

from paddock.api.exposure import Tls
from paddock.api.gateway import Gateway as DeclaredGateway
from paddock.plan.gateway.rendering import Surroundings, render
from support.answering import Answering, answering
from support.certificates import mount, pair
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, CPP
from support.http2 import (
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    RESET,
    Connection,
    Field,
    Heard,
    connected,
    fields,
    frame,
)

pytestmark = pytest.mark.contract
SECONDS = 60.0
AT_ONCE, MOST_FRAMES, MOST_TAKEN = 1_000, 1_000_000, 1_000
BODY = b'{"model":"alpha","prompt":"hi"}'
START: tuple[Field, ...] = (
    (b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"x"),
    (b":path", b"/v1/completions"),
)  # fmt: skip
POOL = CPP.model_copy(
    update={
        "spec": CPP.spec.model_copy(
            update={"gateway": DeclaredGateway(tls=Tls(secret_name="front"))}
        )
    }
)
INNER = b"\r\nPOST /api/pull HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n"


@pytest.fixture(scope="module")
def engine() -> Iterator[Answering]:
    with answering("alpha") as server:
        yield server


@pytest.fixture(scope="module")
def front(engine: Answering, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("front")
    place = free_place(folder)
    mount(Path(place.certificate), pair())
    rendering = render("team", [POOL], {"alpha": ALPHA}, Surroundings(place=place))
    with gateway(rendering, place, folder, {"cpp.team": engine.address}) as running:
        yield running


def replaced(name: bytes, value: bytes) -> tuple[Field, ...]:
    return tuple((each, value if each == name else before) for each, before in START)


def length(count: int) -> Field:
    return b"content-length", str(count).encode()


SMUGGLED: dict[str, tuple[Field, ...]] = {
    "connection": (*START, (b"connection", b"keep-alive")),
    "connection close": (*START, (b"connection", b"close, x-a"), (b"x-a", b"1")),
    "transfer-encoding": (*START, (b"transfer-encoding", b"chunked")),
    "upgrade": (*START, (b"upgrade", b"websocket")),
    "keep-alive": (*START, (b"keep-alive", b"timeout=5")),
    "proxy-connection": (*START, (b"proxy-connection", b"keep-alive")),
    "te": (*START, (b"te", b"gzip, trailers")),
    "name in capitals": (*START, (b"X-Upper", b"1")),
    "name with a space": (*START, (b"x bad", b"1")),
    "name with a colon": (*START, (b"x:bad", b"1")),
    "name with a line": (*START, (b"x-a: 1\r\nx-b", b"1")),
    "no name": (*START, (b"", b"1")),
    "value with a line": (*START, (b"x-a", b"1\r\ntransfer-encoding: chunked")),
    "value with a request": (*START, (b"x-a", b"1\r\n" + INNER)),
    "value with half a line": (*START, (b"x-a", b"1\nx-b: 2")),
    "value with nul": (*START, (b"x-a", b"1\x002")),
    "shorter length": (*START, length(4)),
    "longer length": (*START, length(len(BODY) + 9)),
    "two lengths": (*START, length(len(BODY)), length(4)),
    "signed length": (*START, (b"content-length", b"+31")),
    "no length at all": (*START, (b"content-length", b"x")),
    "method twice": (*START, (b":method", b"GET")),
    "path twice": (START[0], (b":path", b"/api/pull"), *START[1:]),
    "pseudo header late": (*START[:3], (b"x-a", b"1"), START[3]),
    "unknown pseudo header": (*START, (b":pool", b"b")),
    "an answer's status": (*START, (b":status", b"200")),
    "no path": START[:3],
    "no method": START[1:],
    "empty path": replaced(b":path", b""),
    "path with a space": replaced(b":path", b"/v1/completions HTTP/1.1"),
    "path with a request": replaced(b":path", b"/v1/completions HTTP/1.1" + INNER),
    "path of another form": replaced(b":path", b"https://x/v1/completions"),
    "path without a slash": replaced(b":path", b"v1/completions"),
    "path with an escaped slash": replaced(b":path", b"/v1%2fcompletions"),
    "method with a request": replaced(b":method", b"POST /api/pull HTTP/1.1" + INNER),
    "authority with a line": replaced(b":authority", b"x\r\nx-a: 1"),
    "scheme with a request": replaced(b":scheme", b"https://x/api/pull?"),
    "connect": ((b":method", b"CONNECT"), (b":authority", b"127.0.0.1:1")),
    "extended connect": (*replaced(b":method", b"CONNECT"), (b":protocol", b"websocket")),
}


IN_OTHER_WAYS = {
    "shorter length": Heard(reset={1}),
    "longer length": Heard(reset={1}),
    "path with an escaped slash": Heard({1: 400}),
    "connect": Heard({1: 403}),
}
"""How these are refused; for all others Envoy ends the connection."""


@contextmanager
def callers(front: Gateway, named: Iterable[str]) -> Iterator[dict[str, Connection]]:
    with ExitStack() as opened:
        port = front.place.tls_port
        yield {name: opened.enter_context(connected(port, SECONDS)) for name in named}


def is_answered(front: Gateway) -> bool:
    with connected(front.place.tls_port, SECONDS) as other:
        other.ask(1, START, BODY)
        return other.until_answered(1) == Heard({1: 200})


def test_requests_that_can_be_read_in_two_ways_are_refused_as_a_whole(
    front: Gateway, engine: Answering
) -> None:
    before = engine.asked
    with callers(front, SMUGGLED) as opened:
        for name, caller in opened.items():
            caller.ask(1, SMUGGLED[name], BODY)
        assert is_answered(front)
        heard = {name: caller.until_answered(1) for name, caller in opened.items()}

    assert heard == {name: IN_OTHER_WAYS.get(name, Heard(ended=True)) for name in SMUGGLED}
    assert engine.asked == before + 1


def test_request_that_looks_like_another_one_is_one_request(
    front: Gateway, engine: Answering
) -> None:
    """A body of no told length, a byte at a time, and a host beside the authority."""
    before = engine.asked
    body = BODY.replace(b"hi", INNER.replace(b"\r\n", b"\\r\\n"))
    with connected(front.place.tls_port, SECONDS) as caller:
        caller.send(
            frame(HEADERS, END_HEADERS, 1, fields([*START, (b"host", b"y"), (b"te", b"trailers")])),
            *(frame(DATA, 0, 1, bytes([byte])) for byte in body),
            frame(DATA, END_STREAM, 1),
        )
        assert caller.until_answered(1) == Heard({1: 200})

    assert engine.paths[before:] == ["/v1/completions"]
    assert engine.headers[-1]["host"] == "x"
    assert engine.headers[-1]["content-length"] == str(len(body))


def continued(listed: Sequence[Field]) -> Iterator[bytes]:
    """Begin a request, and go on with its head without an end."""
    yield frame(HEADERS, 0, 1, fields(START))
    while True:
        yield frame(CONTINUATION, 0, 1, fields(listed))


def taken_back() -> Iterator[bytes]:
    """Ask and take it back, over and over."""
    for stream in itertools.count(1, 2):
        yield frame(HEADERS, END_HEADERS, stream, fields(START))
        yield frame(DATA, END_STREAM, stream, BODY)
        yield frame(RESET, 0, stream, CANCEL)


FLOODS: Mapping[str, Callable[[], Iterator[bytes]]] = {
    "heads that go on": partial(continued, [(b"x-a", b"1")]),
    "heads that go on with nothing": partial(continued, []),
    "requests taken back": taken_back,
}


def test_floods_end_their_connections_and_little_of_them_is_taken(
    front: Gateway, engine: Answering
) -> None:
    before, floods = engine.asked, {name: flood() for name, flood in FLOODS.items()}
    with callers(front, FLOODS) as opened:
        assert is_answered(front)
        for _ in range(MOST_FRAMES // AT_ONCE):
            for name, caller in opened.items():
                if not caller.heard.ended:
                    caller.send(*itertools.islice(floods[name], AT_ONCE))

        assert {name for name, caller in opened.items() if not caller.heard.ended} == set()
    assert engine.asked - before < MOST_TAKEN
    assert is_answered(front)
