"""The script that reads a body's model, run in LuaJIT on pieces as they come to Envoy."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from lupa import luajit21

from paddock.plan.gateway.reading import (
    CONNECTION,
    LARGE_BYTES,
    MISSING,
    MODEL,
    READ_MODEL_SCRIPT,
    ROOM_BYTES,
    UNREADABLE,
)

_READER = """
function(whole)
  local said, ended = {kept = 0}, false
  local metadata = {set = function(_, _, key, value) said[key] = value end}
  local stream = {dynamicMetadata = function() return metadata end}
  local function piece_of(text)
    local filler = type(text) == "number" and text
    local length = filler or #text
    said.kept = said.kept + length
    return {length = function() return length end,
            setBytes = function(_, none) said.kept = said.kept - length + #none end,
            getBytes = function(_, from, count)
              return filler and ("x"):rep(count) or text:sub(from + 1, from + count)
            end}
  end
  local function next_piece()
    if ended then return nil end
    local text = coroutine.yield()
    ended = text == nil
    return text and piece_of(text)
  end
  local headers = {get = function(_, name)
    if name == "content-length" and whole then return whole end
  end}
  local handle = {
    headers = function() return headers end,
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
"""What stands for a request: a function that takes one piece after another, nil as the end.

A number is a piece of so many letters. What a header lacks is no value at all, as Envoy has it.
"""
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
Reader = Callable[[bytes | int | None], Any]
Begin = Callable[..., Reader]
"""Begins a request, with what it says that its length is, where it says so."""


@pytest.fixture(scope="module")
def begin() -> Begin:
    runtime = luajit21.LuaRuntime(encoding=None)
    runtime.execute(READ_MODEL_SCRIPT.encode())
    found: Begin = runtime.eval(_READER.encode())
    return found


def pieces(body: bytes, size: int) -> Iterator[bytes]:
    return (body[at : at + size] for at in range(0, len(body), size))


def told(said: Any) -> dict[str, str]:
    return {key.decode(): value.decode() for key, value in said.items() if key != b"kept"}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 1000, 10_000])
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_body_is_understood_alike_however_it_comes(begin: Begin, body: bytes, size: int) -> None:
    for whole in (None, str(len(body)).encode()):
        reader = begin(whole)
        for piece in pieces(body, size):
            reader(piece)

        assert told(reader(None)) == BODIES[body]


@pytest.mark.parametrize("length", [10, 20_000, 50_000])
def test_body_that_says_its_length_is_understood_when_its_last_byte_is_there(
    begin: Begin, length: int
) -> None:
    body = b'{"a":"' + b"x" * length + b'","model":"alpha"}'
    reader = begin(str(len(body)).encode())

    assert told(reader(body[:-1])) == {}
    assert told(reader(body[-1:])) == {MODEL: "alpha"}


def test_bodies_that_come_in_turns_are_kept_apart(begin: Begin) -> None:
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


LARGE = ROOM_BYTES // 4


def begun(begin: Begin, count: int) -> list[Reader]:
    """Begin so many bodies, each of a quarter of the room."""
    readers = [begin() for _ in range(count)]
    for reader in readers:
        reader(b'{"a":"')
        reader(LARGE - LARGE_BYTES)
    return readers


def end(reader: Reader) -> dict[str, str]:
    reader(b'","model":"alpha"}')
    return told(reader(None))


def test_body_beyond_the_room_of_all_is_let_go_and_small_ones_are_read(
    begin: Begin,
) -> None:
    readers = begun(begin, 4)
    late = begin()
    late(b'{"a":"')
    for _ in range(4):
        late(LARGE)
    small = begin()
    small(LARGE_BYTES // 2)

    assert late(None)[b"kept"] == len(b'{"a":"')
    assert told(late(None)) == {}
    assert told(small(None)) == {UNREADABLE: "yes"}
    assert [end(reader) for reader in readers] == [{MODEL: "alpha"}] * 4


@pytest.mark.parametrize("leave", [False, True], ids=["answered", "left"])
def test_room_is_given_back_by_bodies_that_were_read_and_by_callers_that_left(
    begin: Begin, *, leave: bool
) -> None:
    readers = begun(begin, 4)
    if not leave:
        assert [end(reader) for reader in readers] == [{MODEL: "alpha"}] * 4
    del readers

    assert [end(reader) for reader in begun(begin, 4)] == [{MODEL: "alpha"}] * 4


def test_body_that_nobody_can_read_is_not_kept(begin: Begin) -> None:
    reader = begin()
    reader(b'{"model":"alpha"]' + b" " * 3000)
    reader(LARGE)

    assert told(reader(None)) == {UNREADABLE: "yes"}
    assert reader(None)[b"kept"] < 2 * LARGE_BYTES
