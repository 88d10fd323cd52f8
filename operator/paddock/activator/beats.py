"""What a caller of a stream may be sent while it waits, in the form its stream has. Pure.

Server-sent events know comments. Lines of JSON, as Ollama streams them, know none, but JSON may be
preceded by spaces: every reader takes them with the line that follows.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from paddock.wire import Json

_LARGEST_PARSED = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Beat:
    """One kind of stream: its content type, what is sent in it while waiting, how errors end it."""

    content_type: str
    sign: bytes
    error: Callable[[bytes], bytes]
    """Makes an error's JSON a part of the stream."""
    unasked: bool
    """Whether callers get a stream who do not say."""


def _as_event(body: bytes) -> bytes:
    return b"data: " + _in_one_line(body) + b"\n\n"


def _as_line(body: bytes) -> bytes:
    """Return an error in Ollama's own shape, which is a text and no object."""
    try:
        said = json.loads(body)
    except ValueError:
        said = None
    error = said.get("error") if isinstance(said, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return json.dumps({"error": str(message or "The engine refused the request.")}).encode() + b"\n"


def _in_one_line(body: bytes) -> bytes:
    return b" ".join(body.split())


EVENTS = Beat("text/event-stream", b": waiting\n\n", _as_event, unasked=False)
LINES = Beat("application/x-ndjson", b" ", _as_line, unasked=True)
_BEATS: Mapping[str, Beat] = {
    "/v1/chat/completions": EVENTS,
    "/v1/completions": EVENTS,
    "/v1/responses": EVENTS,
    "/api/chat": LINES,
    "/api/generate": LINES,
}


def beat_of(path: str, body: bytes) -> Beat | None:
    """Return how a caller's stream beats; None where it gets none, or sent too much to look at."""
    beat = _BEATS.get(path)
    if beat is None or len(body) > _LARGEST_PARSED:
        return None
    try:
        asked: Json = json.loads(body)
    except (ValueError, RecursionError):
        return None
    streams = asked.get("stream", beat.unasked) if isinstance(asked, dict) else False
    return beat if streams is True else None
