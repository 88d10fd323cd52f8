"""Writes put into words: which object each was of, and what a status write changed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from support.gate import Request


def told_writes(writes: Iterable[Request]) -> str:
    """Return a line for each write, under a status what is another than in the one before it."""
    writes = list(writes)
    began = writes[0].at if writes else 0.0
    return "\n".join(_lines(writes, began))


def _lines(writes: Iterable[Request], began: float) -> Iterator[str]:
    known: dict[str, dict[str, str]] = {}
    for write in writes:
        yield f"{write.at - began:7.2f} s  {write.method} {write.path}"
        if not write.path.endswith("/status"):
            continue
        before = known.get(write.path, {})
        now = known[write.path] = dict(_leaves("", json.loads(write.body)["status"]))
        for place in sorted({*before, *now}):
            if before.get(place) != now.get(place):
                yield f"      {place}: {before.get(place, '-')} -> {now.get(place, '-')}"


def _leaves(place: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield every value of a status by its place; a condition is one, under its type."""
    if isinstance(value, Mapping) and {"type", "status", "reason"} <= set(value):
        yield place, f"{value['status']} {value['reason']} {value['message']!r}"
    elif isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(f"{place}.{key}".strip("."), each)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            named = each.get("type", index) if isinstance(each, Mapping) else index
            yield from _leaves(f"{place}[{named}]", each)
    else:
        yield place, str(value)
