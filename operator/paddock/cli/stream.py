"""An OpenAI-compatible stream read line by line: pieces of the answer, and its count of tokens.

Pure.
"""

import json
from dataclasses import dataclass

from paddock.raw import items, number, text
from paddock.wire import Json

_DATA = "data:"
_END = "[DONE]"


@dataclass(frozen=True, slots=True)
class Piece:
    """What one event of the stream brings."""

    content: str = ""
    thinking: str = ""
    tokens: int | None = None
    """Of the whole answer; in the last event, where the engine counts them."""
    error: str | None = None


def piece_of(line: str) -> Piece | None:
    """Return what a line of the stream brings, or None if it brings nothing."""
    if not line.startswith(_DATA):
        return None
    event = line.removeprefix(_DATA).strip()
    if event == _END:
        return None
    try:
        value: Json = json.loads(event)
    except ValueError:
        return Piece(error="the stream holds something that is not JSON")
    said = error_of(value)
    if said is not None:
        return Piece(error=said)
    choice: Json = next(items(value, "choices"), None)
    thinking = text(choice, "delta", "reasoning_content") or text(choice, "delta", "reasoning")
    return Piece(
        content=text(choice, "delta", "content") or text(choice, "text") or "",
        thinking=thinking or "",
        tokens=number(value, "usage", "completion_tokens") or None,
    )


def error_of(value: Json) -> str | None:
    """Return the words of an error, in OpenAI's shape or in Ollama's."""
    return text(value, "error", "message") or text(value, "error")
