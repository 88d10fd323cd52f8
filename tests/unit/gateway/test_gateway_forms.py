"""The script that reads forms, in LuaJIT as Envoy runs it: what clients write, and no looser."""

from collections.abc import Callable
from functools import cache

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lupa import luajit21

from paddock.plan.gateway.forms import MOST_PARTS
from paddock.plan.gateway.reading import MISSING, PIECE_BYTES, READ_MODEL_SCRIPT, UNREADABLE

PATH = "/v1/audio/transcriptions"
URL = f"http://gateway{PATH}"
KIND = "multipart/form-data; boundary=b"
SMALL = 10_000
_HANDLE = """
function(path, kind, text, size)
  local found, at = nil, 0
  local function piece_of(piece)
    return {length = function() return #piece end,
            setBytes = function(_, none) piece = none end,
            getBytes = function(_, from, count) return piece:sub(from + 1, from + count) end}
  end
  local function next_piece()
    coroutine.yield()
    local piece = text:sub(at + 1, at + size)
    at = at + #piece
    return #piece > 0 and piece_of(piece) or nil
  end
  local said = {[":path"] = path, ["content-type"] = kind}
  local headers = {get = function(_, name) return said[name] end}
  local told = {set = function(_, _, key, value) found = key .. "=" .. value end}
  local info = {dynamicMetadata = function() return told end}
  local request = coroutine.create(envoy_on_request)
  local handle = {bodyChunks = function() return next_piece end,
                  headers = function() return headers end,
                  streamInfo = function() return info end, clearRouteCache = function() end}
  while coroutine.status(request) ~= "dead" do assert(coroutine.resume(request, handle)) end
  return found
end
"""
"""Runs the script on a body that comes in pieces of this size."""


@cache
def script() -> Callable[[bytes, bytes, bytes, int], bytes]:
    runtime = luajit21.LuaRuntime(encoding=None)
    runtime.execute(READ_MODEL_SCRIPT.encode())
    asked: Callable[[bytes, bytes, bytes, int], bytes] = runtime.eval(_HANDLE.encode())
    return asked


def read(content: bytes, kind: str = KIND, path: str = PATH) -> str:
    """Return what is told of a body, which must not depend on how it comes."""
    sizes = {1, 7, 100, 20_000, len(content) + 1} if len(content) < SMALL else {30_000, 100_000}
    found = {script()(path.encode(), kind.encode(), content, size) for size in sizes}
    assert len(found) == 1, found
    return found.pop().decode()


def read_as_sent(request: httpx.Request) -> str:
    return read(request.read(), request.headers["content-type"])


def part(disposition: str, content: bytes = b"alpha", more: str = "") -> bytes:
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n"
    return head.encode() + content + b"\r\n"


NAMES_OF_FILES = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20)
MODEL, END = part('name="model"'), b"--b--\r\n"
FILE = part('name="file"; filename="a.wav"', b"\x00\r\n--a\xff", "Content-Type: audio/wav\r\n")


@given(st.binary(max_size=300), NAMES_OF_FILES, st.sampled_from(["alpha", "name:tag"]))
def test_model_is_found_in_what_a_client_writes(content: bytes, name: str, model: str) -> None:
    form = {"model": model, "language": "en", "timestamp_granularities[]": ["word", "segment"]}
    files = {"file": (name or "a.wav", content, "audio/wav")}
    request = httpx.Request("POST", URL, data=form, files=files)

    assert read_as_sent(request) == f"model={model}"


@pytest.mark.parametrize("size", range(PIECE_BYTES - 120, PIECE_BYTES + 4))
def test_model_is_found_wherever_a_piece_of_the_body_ends(size: int) -> None:
    assert read(part('name="file"; filename="a"', b"-" * size) + MODEL + END) == "model=alpha"


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("multipart/form-data; boundary=b", b"b"),
        ("multipart/form-data;boundary=b", b"b"),
        ('Multipart/Form-Data; boundary="b?c"', b"b?c"),
        ("multipart/form-data; boundary=----WebKitFormBoundary7MA4", b"----WebKitFormBoundary7MA4"),
    ],
)
def test_marks_are_those_that_clients_choose(kind: str, mark: bytes) -> None:
    content = (FILE + MODEL + END).replace(b"--b", b"--" + mark)

    assert read(content, kind) == "model=alpha"


def test_form_without_a_model_says_so() -> None:
    assert read(FILE + END) == f"{MISSING}=yes"


def test_json_stays_json_wherever_it_is_sent() -> None:
    assert read(b'{"model":"alpha"}', KIND, "/v1/completions") == "model=alpha"
    assert read(FILE + MODEL + END, KIND, "/v1/completions") == f"{UNREADABLE}=yes"


DISPOSITION = 'Content-Disposition: form-data; name="'
OTHER = part('name="model"', b"beta")
BROKEN = {
    "no end": MODEL,
    "cut": FILE + MODEL[:-3],
    "more after the end": MODEL + END + OTHER + END,
    "text before": b"hi\r\n" + MODEL + END,
    "two models": MODEL + OTHER + END,
    "other spelling": MODEL + part('name="Model"', b"beta") + END,
    "two names": part('name="model"; name="file"') + END,
    "name by another way": MODEL + part("name*=utf-8''model", b"beta") + END,
    "name without quotes": MODEL + part("name=model", b"beta") + END,
    "escaped quote": part(r'name="file"; filename="\"; name="model"', b"beta") + MODEL + END,
    "escaped name": MODEL + part(r'name="mod\el"', b"beta") + END,
    "encoded name": MODEL + part('name="mod%65l"', b"beta") + END,
    "name after the file": part('filename="a"; name="model"') + END,
    "model that is a file": part('name="model"; filename="a"') + END,
    "encoded model": part('name="model"', b"YQ==", "Content-Transfer-Encoding: base64\r\n") + END,
    "two dispositions": part('name="file"', b"alpha", f'{DISPOSITION}model"\r\n') + END,
    "no disposition": b"--b\r\nContent-Type: text/plain\r\n\r\nalpha\r\n" + END,
    "folded header": part('name="file"', b"alpha", ' ; name="model"\r\n') + END,
    "mark in a header": part('name="file"', b"alpha", "--b: x\r\n") + MODEL + END,
    "mark after a bare line feed": part('name="file"', b"a\n--b\r\n" + MODEL[3:-2]) + END,
    "mark with a space": MODEL[:-2] + b"\r\n--b \r\n" + OTHER[5:] + END,
    "mark inside content": part('name="file"', b"a--b") + MODEL + END,
    "mark at once after the headers": f'--b\r\n{DISPOSITION}a"\r\n\r\n'.encode() + END,
    "bare line feeds": (MODEL + END).replace(b"\r\n", b"\n"),
    "other alphabet": part('name="model"', "alph\u0430".encode()) + END,
    "long model": part('name="model"', b"a" * 3000) + END,
    "long headers": part('name="file"', b"a", f"X: {'x' * 3000}\r\n") + MODEL + END,
    "many parts": part('name="a"') * MOST_PARTS + MODEL + END,
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_what_can_be_read_in_two_ways_is_unreadable(name: str) -> None:
    assert read(BROKEN[name]) == f"{UNREADABLE}=yes"


@pytest.mark.parametrize(
    "kind",
    ["", "application/json", "multipart/mixed; boundary=b", "multipart/form-data",
     "multipart/form-data; boundary=b; boundary=c", "multipart/form-data; boundary=b,c",
     'multipart/form-data; boundary="b', "multipart/form-data; charset=x; boundary=b",
     f"multipart/form-data; boundary={'b' * 71}"],
)  # fmt: skip
def test_type_that_is_not_plainly_a_form_is_unreadable(kind: str) -> None:
    assert read(MODEL + END, kind) == f"{UNREADABLE}=yes"


@given(st.binary(max_size=200))
def test_nothing_that_a_caller_sends_breaks_the_script(content: bytes) -> None:
    assert read(content or b"x").partition("=")[0] in (UNREADABLE, MISSING, "model")
    assert read(MODEL + content).partition("=")[0] in (UNREADABLE, "model")
