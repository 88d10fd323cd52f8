"""The script that records prompts and answers, run in LuaJIT as Envoy runs it; and where it is."""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lupa import luajit21

from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.content import (
    CONTENT_BYTES,
    CONTENT_FILTER,
    CONTENT_METADATA,
    LOOKED_AT_BYTES,
    content_script,
)
from paddock.plan.gateway.plan import render_gateway
from paddock.plan.telemetry.gateway_config import build_gateway_config
from support.gateways import CPP, OLLAMA, SETTINGS, gateway_facts
from support.signals import measured
from support.stores import renamed

CHAT, LINES, EVENTS = "/v1/chat/completions", "application/x-ndjson", "text/event-stream"
_HANDLES = """
function(path, asked, status, kind, chunks)
  local told = {}
  local function bytes(text)
    return {length = function() return #text end,
            getBytes = function(_, at, count) return text:sub(at + 1, at + count) end}
  end
  local metadata = {get = function(_, name) return told[name] end,
                    set = function(_, name, key, value)
                      told[name] = told[name] or {}
                      told[name][key] = value
                    end}
  local function handle(headers)
    return {
      streamInfo = function() return {dynamicMetadata = function() return metadata end} end,
      headers = function() return {get = function(_, name) return headers[name] end} end,
      body = function() return bytes(asked) end,
      bodyChunks = function()
        local at = 0
        return function()
          at = at + 1
          return chunks[at] and bytes(chunks[at])
        end
      end,
    }
  end
  envoy_on_request(handle({[":path"] = path}))
  envoy_on_response(handle({[":status"] = status, ["content-type"] = kind}))
  return told["NAMESPACE"]
end
"""
Recorded = Mapping[str, Any]


@cache
def script() -> tuple[Any, Callable[..., Any]]:
    runtime = luajit21.LuaRuntime(encoding=None)
    runtime.execute(content_script().encode())
    return runtime, runtime.eval(_HANDLES.replace("NAMESPACE", CONTENT_METADATA).encode())


def recorded(
    asked: bytes, chunks: Iterable[bytes] = (), *, path: str = CHAT,
    kind: str = "application/json", status: int = 200,
) -> Mapping[str, str]:  # fmt: skip
    """Return what is recorded of one request and its answer, as texts."""
    runtime, both = script()
    pieces = runtime.table_from(dict(enumerate(chunks, 1)))
    told = both(path.encode(), asked, str(status).encode(), kind.encode(), pieces)
    return {key.decode(): value.decode() for key, value in dict(told or {}).items()}


def of(body: Any, *answers: Any, stream: str = "", **more: Any) -> Recorded:
    """Return the same of JSON values, each a line of the answer."""
    if stream == EVENTS:
        said = "".join(f"data: {json.dumps(each)}\n\n" for each in answers) + "data: [DONE]\n\n"
    else:
        said = "\n".join(json.dumps(each) for each in answers)
    kind = stream or "application/json"
    told = recorded(json.dumps(body).encode(), [said.encode()], kind=kind, **more)
    return {key: json.loads(value) for key, value in told.items()}


def message(role: str, *texts: str) -> dict[str, Any]:
    return {"role": role, "parts": [{"type": "text", "content": each} for each in texts]}


def answer(text: str, finish: str = "stop", reasoning: str = "") -> dict[str, Any]:
    parts = [{"type": kind, "content": said}
             for kind, said in (("reasoning", reasoning), ("text", text)) if said]  # fmt: skip
    return {"role": "assistant", "parts": parts, "finish_reason": finish}


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"messages": [{"role": "system", "content": "Be brief."},
                       {"role": "user", "content": [{"type": "text", "text": "What is"},
                                                    {"type": "image_url", "image_url": "x"},
                                                    {"type": "text", "text": "this?"}]}]},
         [message("system", "Be brief."), message("user", "What is", "this?")]),
        ({"prompt": 'once\n"upon" \u00e9\u4e2d\U0001f600'},
         [message("user", 'once\n"upon" \u00e9\u4e2d\U0001f600')]),
        ({"prompt": ["a", "b"]}, [message("user", "a"), message("user", "b")]),
        ({"prompt": [1, 2, 3]}, []),
        ({"input": "hello"}, [message("user", "hello")]),
        ({"input": [{"role": "user", "content": [{"type": "input_text", "text": "hi"}]}]},
         [message("user", "hi")]),
        ({"messages": [{"role": 'x","y', "content": "odd"}, {"content": None}, 7, None]},
         [message("user", "odd")]),
        ({"model": "alpha"}, []),
    ],
)  # fmt: skip
def test_prompt_is_told_as_the_conventions_say(body: Any, told: list[Any]) -> None:
    assert of(body)["input"] == told


@pytest.mark.parametrize("key", ["system", "instructions"])
def test_instructions_beside_the_prompt_have_a_place_of_their_own(key: str) -> None:
    told = of({key: "Be brief.", "prompt": "hello"})
    assert told["system"] == [{"type": "text", "content": "Be brief."}]
    assert told["input"] == [message("user", "hello")]


DELTAS: list[Any] = [
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": None}}]},
    {"choices": [{"index": 0, "delta": {"reasoning_content": "hm"}}]},
    {"choices": [{"index": 0, "delta": {"content": "Hé"}}]},
    {"choices": [{"index": 0, "delta": {"content": 'llo\n{"}'}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]},
    {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}},
]
TOLD_OF_DELTAS = [answer("Hé" + 'llo\n{"}', "length", "hm")]


@pytest.mark.parametrize(
    ("stream", "answers", "told"),
    [
        ("", [{"choices": [{"index": 0, "finish_reason": "stop",
                            "message": {"role": "assistant", "content": "yes"}}]}],
         [answer("yes")]),
        ("", [{"choices": [{"index": 1, "text": "b", "finish_reason": "stop"},
                           {"index": 0, "text": "a", "finish_reason": "length"}]}],
         [answer("a", "length"), answer("b")]),
        (EVENTS, DELTAS, TOLD_OF_DELTAS),
        (LINES, [{"message": {"content": "ye", "thinking": "so"}}, {"message": {"content": "s"}},
                 {"message": {"content": ""}, "done": True, "done_reason": "stop"}],
         [answer("yes", "stop", "so")]),
        (LINES, [{"response": "ye"}, {"response": "s"}, {"response": "", "done_reason": "length"}],
         [answer("yes", "length")]),
        (EVENTS, [{"type": "response.output_text.delta", "delta": "ye"},
                  {"type": "response.output_text.delta", "delta": "s"},
                  {"type": "response.output_text.done", "text": "yes"},
                  {"type": "response.completed",
                   "response": {"output": [{"content": [{"text": "yes"}]}]}}],
         [answer("yes")]),
        ("", [{"status": "completed", "output": [
            {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "so"}]},
            {"type": "message", "content": [{"type": "output_text", "text": "yes"}]}]}],
         [answer("yes", "stop", "so")]),
        ("", [{"error": {"message": "no"}}], []),
    ],
)  # fmt: skip
def test_answer_is_told_as_the_conventions_say(stream: str, answers: Any, told: Any) -> None:
    assert of({"prompt": "hello"}, *answers, stream=stream)["output"] == told


@given(st.lists(st.integers(1, 40), max_size=60))
@settings(max_examples=30)
def test_stream_is_the_same_however_it_is_cut(sizes: list[int]) -> None:
    said = "".join(f"data: {json.dumps(each, ensure_ascii=False)}\r\n\r\n" for each in DELTAS)
    left, chunks = said.encode(), []
    for size in sizes:
        chunks.append(left[:size])
        left = left[size:]
    told = recorded(b'{"prompt":"x"}', [*chunks, left], kind=EVENTS)
    assert json.loads(told["output"]) == TOLD_OF_DELTAS


@pytest.mark.parametrize("path", ["/v1/embeddings", "/api/embed", "/v1/rerank?x=/v1/completions"])
def test_what_is_no_talk_is_not_recorded(path: str) -> None:
    assert of({"input": "hello"}, {"choices": [{"text": "no"}]}, path=path) == {}


def test_answer_that_is_an_error_is_not_recorded() -> None:
    told = of({"prompt": "hello"}, {"choices": [{"text": "no"}]}, status=500)
    assert told == {"input": [message("user", "hello")]}


@pytest.mark.parametrize("filling", ["x", "\\n", "\\u00e9", "\u00e9", "\U0001f600", "\\\\"])
@pytest.mark.parametrize("shift", range(7))
def test_long_words_are_cut_where_json_stays_json(filling: str, shift: int) -> None:
    words = "y" * shift + filling * LOOKED_AT_BYTES
    told = recorded(f'{{"prompt":"{words}"}}'.encode(),
                    [f'{{"response":"{words}"}}\n'.encode()], kind=LINES)  # fmt: skip
    for key in ("input", "output"):
        (said,) = json.loads(told[key])
        assert len(said["parts"][0]["content"].encode()) > CONTENT_BYTES - 100 or "\\" in filling
        assert len(told[key]) <= CONTENT_BYTES + 200
    assert told["truncated"] == "true"


def test_every_sign_that_json_may_hold_stays_and_others_become_blanks() -> None:
    told = recorded(b'{"prompt":"a\x7fb\xc2\x85c\x00d\x1fe\\u0001f"}')
    (said,) = json.loads(told["input"])
    assert said["parts"][0]["content"] == "a\x7fb\x85c d e\x01f"


def test_many_little_messages_are_bounded_too() -> None:
    body = {"messages": [{"role": "user", "content": "x"}] * 3000}
    told = recorded(json.dumps(body).encode())
    assert len(told["input"]) <= 2 * CONTENT_BYTES
    assert told["truncated"] == "true"


def test_what_fits_is_not_called_truncated() -> None:
    assert "truncated" not in of({"prompt": "x" * 1000}, {"response": "y" * 1000})


ODD = st.binary(max_size=200) | st.text(
    st.sampled_from('{}[]",:\\ \n\u00e9abu0'), max_size=200
).map(str.encode)  # fmt: skip


@given(ODD, ODD)
@settings(max_examples=60)
def test_nothing_that_anybody_sends_breaks_the_script(asked: bytes, said: bytes) -> None:
    for before in (
        b"",
        b'{"messages":[',
        b'{"messages":[{"role":"user","content":"',
        b'{"prompt":',
    ):
        for kind in (EVENTS, LINES, "application/json"):
            recorded(before + asked, [b'{"choices":[{"delta":' + said, said + b"\n"], kind=kind)
    recorded(b"[" * 5000, [b'{"choices":' * 3000])


def whole(*pools: InferencePool) -> str:
    return render_gateway(gateway_facts(*pools), SETTINGS).whole


OF_CONTENT = (CONTENT_FILTER, CONTENT_METADATA, "gen_ai.input", "gen_ai.output", "event_name")


def test_without_it_nothing_of_it_is_there() -> None:
    pools = [measured(CPP, captures=None), measured(OLLAMA, captures=False)]
    for text in (whole(*pools), build_gateway_config(pools)):
        assert not [word for word in OF_CONTENT if word in text]


def test_it_is_of_the_routes_of_the_model_that_asks_only() -> None:
    facts = gateway_facts(measured(CPP, captures=True), measured(OLLAMA, captures=None))
    (host,) = render_gateway(facts, SETTINGS).routes["virtual_hosts"]  # type: ignore[misc]
    having = {route["metadata"]["filter_metadata"]["paddock"]["model"]
              for route in host["routes"]
              if CONTENT_FILTER in route.get("typed_per_filter_config", {})}  # fmt: skip
    assert having == {"alpha"}
    config = build_gateway_config(facts.pools)
    assert 'attributes["paddock.pool"] != "cpp"' in config


def test_model_of_two_pools_is_recorded_where_both_ask() -> None:
    second = renamed(CPP, "other")
    both = whole(measured(CPP, captures=True), measured(second, captures=True))
    one = whole(measured(CPP, captures=True), measured(second, captures=None))
    assert CONTENT_FILTER in both
    assert CONTENT_FILTER not in one
