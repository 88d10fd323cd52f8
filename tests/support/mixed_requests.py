"""Two hundred requests of many kinds, some wrong, and what their callers wrote down of each."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import httpx

_CALLERS = 4
_SECONDS = 60.0
_LARGE = "x" * 8192
"""More than the body that the first pool takes."""
BODY_BYTES = 4096
_TALK: Any = {"messages": [{"role": "user", "content": "tell me"}]}
_STREAM: Any = {"stream": True}
_TOLD: Any = {**_STREAM, "stream_options": {"include_usage": True}}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; `key` says whether it brings one."""

    path: str
    body: Mapping[str, Any]
    key: bool = True


@dataclass(frozen=True, slots=True)
class Entry:
    """What a caller wrote down: what it was told, and how long it waited by its own clock."""

    asked: Asked
    status: int
    input_tokens: int | None
    output_tokens: int | None
    prompted: int
    """Prompt tokens that llama.cpp said it worked through, not those that it had cached."""
    streamed: bool
    first: float
    seconds: float

    @property
    def model(self) -> str:
        model: str = self.asked.body["model"]
        return model


def mixed(cpp: str, oll: str) -> list[Asked]:
    """Return two hundred requests for two models of llama.cpp and Ollama, always the same."""
    every = [*_good(cpp, oll), *_wrong(cpp, oll)]
    return [every[turn % len(every)] for turn in range(200)]


def _good(cpp: str, oll: str) -> Iterator[Asked]:
    for model in (cpp, oll):
        for more in ({}, _TOLD, _STREAM):
            yield Asked("/v1/chat/completions", {"model": model, **_TALK, "max_tokens": 6, **more})
            yield Asked(
                "/v1/completions", {"model": model, "prompt": "tell me", "max_tokens": 5, **more}
            )
    lines: Any = {"model": oll, "options": {"num_predict": 6}}
    for more in ({}, {"stream": False}):
        yield Asked("/api/chat", {**lines, **_TALK, **more})
        yield Asked("/api/generate", {**lines, "prompt": "tell me", **more})


def _wrong(cpp: str, oll: str) -> Iterator[Asked]:
    yield Asked("/v1/chat/completions", {"model": "nobody", **_TALK})
    yield Asked("/v1/chat/completions", {"model": cpp, **_TALK}, key=False)
    yield Asked("/v1/completions", {"model": cpp, "prompt": _LARGE, "max_tokens": 1})
    yield Asked("/v1/rerank", {"model": oll, "query": "tell me", "documents": ["me"]})


def ask_all(url: str, key: str, asked: Sequence[Asked]) -> list[Entry]:
    """Ask by several callers at once, each over a connection of its own."""

    def some(caller: int) -> list[Entry]:
        with httpx.Client(base_url=url, timeout=_SECONDS) as client:
            return [_ask(client, key, each) for each in asked[caller::_CALLERS]]

    with ThreadPoolExecutor(_CALLERS) as pool:
        return [entry for entries in pool.map(some, range(_CALLERS)) for entry in entries]


def _ask(client: httpx.Client, key: str, asked: Asked) -> Entry:
    headers = {"Authorization": f"Bearer {key}"} if asked.key else {}
    began, first, text = time.monotonic(), 0.0, ""
    with client.stream("POST", asked.path, json=dict(asked.body), headers=headers) as answer:
        for part in answer.iter_text():
            first = first or time.monotonic() - began
            text += part
    taken = time.monotonic() - began
    told = values_of(text) if answer.status_code == httpx.codes.OK else []
    kind = answer.headers.get("content-type", "")
    return Entry(
        asked,
        answer.status_code,
        *tokens_of(told),
        prompted=next((each["timings"]["prompt_n"] for each in told[::-1] if "timings" in each), 0),
        streamed=bool(told) and ("event-stream" in kind or "ndjson" in kind),
        first=first,
        seconds=taken,
    )


def values_of(text: str) -> list[Any]:
    """Return the JSON values of an answer, streamed or whole."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.strip()]
    return [json.loads(line) for line in lines if line != "[DONE]"]


def tokens_of(told: Sequence[Any]) -> tuple[int | None, int | None]:
    """Return the tokens that an answer told its caller of, by whichever words its engine has."""
    for value in reversed(told):
        if usage := value.get("usage"):
            return usage["prompt_tokens"], usage["completion_tokens"]
        if "eval_count" in value:
            return value["prompt_eval_count"], value["eval_count"]
        if timings := value.get("timings"):
            return timings["prompt_n"] + timings["cache_n"], timings["predicted_n"]
    return None, None
