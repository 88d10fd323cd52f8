"""The script that tells conversations apart, run in LuaJIT as Envoy runs it, over any messages."""

import json
from collections.abc import Callable
from functools import cache
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lupa import luajit21

from paddock import names
from paddock.plan.gateway.affinity import CONVERSATION_SCRIPT

ROLES = st.sampled_from(["system", "assistant", "tool"])
WORDS = st.text(max_size=30) | st.sampled_from(
    ['"role":"user"', "}]", '[{"', "\\", '\\"', '{"role": "user"}', '"messages": [']
)  # fmt: skip
CONTENTS = WORDS | st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": WORDS}))
OTHERS = st.builds(lambda role, content: {"role": role, "content": content}, ROLES, CONTENTS)
FIRST = st.builds(
    lambda content, turned: (
        {"content": content, "role": "user"} if turned else {"role": "user", "content": content}
    ),
    CONTENTS,
    st.booleans(),
)
_HANDLE = """
function(text)
  local key
  local bytes = {length = function() return #text end,
                 getBytes = function(_, at, count) return text:sub(at + 1, at + count) end}
  local headers = {replace = function(_, name, value) key = name .. "=" .. value end}
  envoy_on_request({body = function() return bytes end, headers = function() return headers end})
  return key
end
"""


@cache
def script() -> Callable[[bytes], bytes | None]:
    runtime = luajit21.LuaRuntime(encoding=None)
    runtime.execute(CONVERSATION_SCRIPT.encode())
    asked: Callable[[bytes], bytes | None] = runtime.eval(_HANDLE.encode())
    return asked


def key_of(body: Any, *, spaced: bool = False, readable: bool = False) -> str | None:
    separators = (", ", ": ") if spaced else (",", ":")
    said = script()(json.dumps(body, separators=separators, ensure_ascii=not readable).encode())
    name, _, key = (said or b"").decode().partition("=")
    assert name in ("", names.CONVERSATION_HEADER)
    return key or None


@given(
    st.lists(OTHERS, max_size=2),
    FIRST,
    st.lists(OTHERS | FIRST, max_size=5),
    st.fixed_dictionaries({"spaced": st.booleans(), "readable": st.booleans()}),
)
@settings(max_examples=200)
def test_key_stays_the_same_from_turn_to_turn(
    before: list[Any], first: Any, later: list[Any], spelling: dict[str, bool]
) -> None:
    def key(messages: list[Any]) -> str | None:
        body = {"model": "tiny", "messages": messages, "stream": True}
        return key_of(body, **spelling)

    alone = key([first])
    assert alone is not None
    assert key([*before, first]) == alone
    assert key([*before, first, *later]) == alone


@given(st.binary(max_size=200) | WORDS.map(str.encode))
def test_nothing_that_a_caller_sends_breaks_the_script(body: bytes) -> None:
    script()(body)
    script()(b'{"messages":[' + body)
    script()(b'{"prompt":' + body)


def test_only_the_beginning_of_a_long_message_and_of_a_long_body_counts() -> None:
    def key(content: str, system: str = "") -> str | None:
        messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        return key_of({"messages": messages})

    assert key("x" * 2000) == key("x" * 3000)
    assert key("x" * 500) != key("x" * 600)
    assert key("a", "s" * 60_000) != key("b", "s" * 60_000)
    assert key("a", "s" * 70_000) == key("b", "s" * 70_000) is not None


def test_prompt_is_told_by_its_beginning_and_nothing_else_by_anything() -> None:
    assert key_of({"prompt": "x" * 300}) == key_of({"prompt": "x" * 400}) is not None
    assert key_of({"prompt": "x"}) != key_of({"prompt": "y"})
    assert key_of({"model": "tiny"}) is None
    assert key_of({"input": ["a"]}) != key_of({"input": ["b"]})
