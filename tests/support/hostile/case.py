"""One hostile input: what is asked for, what answers, and the one reason it is refused for."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paddock.api.pull import PullReason
from support.raw_server import Answer, reply

HUB = "/api/models/o/r/revision/main"
MANIFEST = "/v2/o/r/manifests/t"
FILE = "/m.gguf"
HEX = "0" * 64


@dataclass(frozen=True, slots=True)
class Case:
    """`{host}` in the source and in the answers' headers is the server's host and port."""

    name: str
    reason: PullReason
    source: str = "http://{host}/m.gguf"
    answers: Mapping[str, Answer] = field(default_factory=dict)
    requests: int = 24
    """How often the server may be asked at most."""


def document(value: Any, **headers: str) -> Answer:
    return reply(json.dumps(value).encode(), **headers)


def hub(name: str, reason: PullReason, answer: Answer) -> Case:
    """Return a case in which the hub gives this answer for a repository."""
    return Case(f"hub: {name}", reason, "hf://o/r", {HUB: answer})


def registry(name: str, reason: PullReason, answer: Answer) -> Case:
    """Return a case in which a registry gives this answer for a manifest."""
    return Case(f"registry: {name}", reason, "oci://{host}/o/r:t", {MANIFEST: answer})


def file(name: str, reason: PullReason, content: bytes, path: str = FILE) -> Case:
    """Return a case in which the file itself is hostile."""
    return Case(name, reason, f"http://{{host}}{path}", {path: reply(content)})
