"""The script that reads a body's model, run in LuaJIT on pieces as they come to Envoy."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from lupa import luajit21

from paddock.plan.gateway.reading import CONNECTION, MISSING, MODEL, READ_MODEL_SCRIPT, UNREADABLE

_READER = """
function()
  local said, pieces, ended = {}, {}, false
  local metadata = {set = function(_, _, key, value) said[key] = value end}
  local stream = {dynamicMetadata = function() return metadata end}
  local function piece_of(text)
    return {length = function() return #text end,
            getBytes = function(_, from, count) return text:sub(from + 1, from + count) end}
  end
  local function next_piece()
    if ended then return nil end
    local text = coroutine.yield()
    ended = text == nil
    return text and piece_of(text)
  end
  local handle = {
    streamInfo = function() return stream end, clearRouteCache = function() end,
    bodyChunks = function() return next_piece end,
  }
  local request = coroutine.create(envoy_on_request)
  assert(coroutine.resume(request, handle))
  return function(text)
    if coroutine.status(request) ~= "dead" then assert(coroutine.resume(request, text)) end
    return said
  end
end
"""
"""What stands for a request: a function that takes one piece after another, nil as the end."""
LONG = b"x" * 3000
BODIES = {
    b'{"model":"alpha"}': {MODEL: "alpha"},
    b' {"messages":[{"content":"a\\"]}\\\\","n":[[],{}]}],"model" : "beta" , "n":1.5e-3 }\n': {
        MODEL: "beta"
    },
    b'{"m\\u006fdel":"alpha","model":"beta","stream":true}': {MODEL: "beta", CONNECTION: "close"},
    b'{"stream":true,"model":"a","stream":null}': {MODEL: "a", CONNECTION: "close"},
    b'{"stream":false,"model":"a","b":{"stream":true},"c":"\\"stream\\":true"}': {MODEL: "a"},
    b'{"a":"' + LONG + b'\\\\","' + LONG + b'":["' + LONG + b'"],"model":"alpha"}': {
        MODEL: "alpha"
    },
    b'{"model":"alpha"}' + b" " * 3000: {MODEL: "alpha"},
    b'{"model":"alpha"}' + b" " * 3000 + b"1": {UNREADABLE: "yes"},
    b'{"model":"alpha","a":[}': {UNREADABLE: "yes"},
    b'{"model":"alpha","a":"\\"}': {UNREADABLE: "yes"},
    b'{"model":"' + LONG + b'"}': {UNREADABLE: "yes"},
    b'{"a":1}': {MISSING: "yes"},
    b"": {MISSING: "yes"},
    b" \r\n": {MISSING: "yes"},
}
Reader = Callable[[bytes | None], Any]


@pytest.fixture(scope="module")
def begin() -> Callable[[], Reader]:
    runtime = luajit21.LuaRuntime(encoding=None)
    runtime.execute(READ_MODEL_SCRIPT.encode())
    found: Callable[[], Reader] = runtime.eval(_READER.encode())
    return found


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def told(said: Any) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in said.items()}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 10_000])
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_body_is_understood_alike_however_it_comes(
    begin: Callable[[], Reader], body: bytes, size: int
) -> None:
    reader = begin()
    for piece in pieces(body, size):
        reader(piece)

    assert told(reader(None)) == BODIES[body]


def test_bodies_that_come_in_turns_are_kept_apart(begin: Callable[[], Reader]) -> None:
    coming: Sequence[tuple[Reader, Iterator[bytes], bytes]] = [
        (begin(), pieces(body, 5), body) for body in BODIES
    ]
    found = {}
    while len(found) < len(BODIES):
        for reader, rest, body in coming:
            piece = next(rest, None)
            said = reader(piece)
            if piece is None:
                found[body] = told(said)

    assert found == BODIES
