"""What callers of streams hear while they wait: which routes, which streams, and how errors end."""

import json

import pytest

from paddock.activator.beats import EVENTS, LINES, Beat, beat_of
from paddock.wire import Json

CASES: list[tuple[str, Json, Beat | None]] = [
    ("/v1/chat/completions", {"stream": True}, EVENTS),
    ("/v1/chat/completions", {}, None),
    ("/v1/chat/completions", {"stream": "true"}, None),
    ("/v1/responses", {"stream": True}, EVENTS),
    ("/v1/embeddings", {"stream": True}, None),
    ("/api/chat", {}, LINES),
    ("/api/generate", {"stream": True}, LINES),
    ("/api/generate", {"stream": False}, None),
    ("/api/embed", {}, None),
    ("/api/chat", ["stream"], None),
    ("/api/chat", {"prompt": "x" * 1024 * 1024}, None),
]


@pytest.mark.parametrize(("path", "body", "beat"), CASES)
def test_only_streams_beat(path: str, body: Json, beat: Beat | None) -> None:
    assert beat_of(path, json.dumps(body).encode()) is beat


@pytest.mark.parametrize("body", [b"", b"{", b"[" * 10_000, b"\xff"])
def test_body_that_is_no_json_beats_not(body: bytes) -> None:
    assert beat_of("/api/chat", body) is None


def test_spaces_before_a_line_are_part_of_its_json() -> None:
    line = LINES.sign * 3 + b'{"done": true}'

    assert json.loads(line) == {"done": True}
    assert b"\n" not in LINES.sign


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b'{"error": {"message": "No such pool."}}', "No such pool."),
        (b'{"error": "model not found"}', "model not found"),
        (b"<html>", "The engine refused the request."),
        (b"[]", "The engine refused the request."),
    ],
)
def test_error_ends_lines_as_ollama_words_it(said: bytes, told: str) -> None:
    assert LINES.error(said) == json.dumps({"error": told}).encode() + b"\n"


def test_error_ends_events_as_one_event() -> None:
    assert EVENTS.error(b'{"error":\n\n{"message": "No."}}') == (
        b'data: {"error": {"message": "No."}}\n\n'
    )
