"""The header check of a safetensors file: bounded, read entry by entry, held to the file's size.

Pure over an open file. Format: safetensors 0.4, a little-endian u64 and that many bytes of JSON, an
object of tensors whose ranges follow each other from the header to the end of the file.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import BinaryIO

from paddock.wire import Json

MAX_HEADER = 16 << 20
MAX_ENTRY = 4096
"""Characters of one tensor's record."""
_METADATA = "__metadata__"
_SPACE = re.compile(r"[ \t\n\r]*")
_KEY = re.compile(r'"((?:[^"\\]|\\.){0,1024})"[ \t\n\r]*:[ \t\n\r]*')
_RECORD = re.compile(r"\{[^{}]{0,4096}\}")
_TEXTS = re.compile(r'\{(?:[^"{}]++|"(?:[^"\\]++|\\.)*+")*+\}')
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "U16": 16, "I16": 16, "U32": 32, "I32": 32, "U64": 64, "I64": 64,
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F16": 16,
    "BF16": 16, "F32": 32, "F64": 64, "C64": 64,
}  # fmt: skip
"""By dtype; the size of a tensor of another one is not checked."""


class SafetensorsError(ValueError):
    """The file is not a safetensors file that an engine should be given."""


def check_header(stream: BinaryIO, size: int) -> None:
    """Raise SafetensorsError unless the header is whole and its tensors fill the file."""
    length = int.from_bytes(stream.read(8), "little")
    if length > MAX_HEADER or length + 8 > size:
        raise SafetensorsError("The safetensors header goes beyond the end of the file.")
    try:
        text = stream.read(length).decode()
    except UnicodeDecodeError as error:
        raise SafetensorsError("The safetensors header is not UTF-8.") from error
    position = 0
    for first, last in sorted(_ranges(text)):
        if first != position:
            raise SafetensorsError("The safetensors tensors do not follow each other.")
        position = last
    if position != size - 8 - length:
        raise SafetensorsError("The safetensors tensors do not end where the file does.")


def _ranges(text: str) -> Iterator[tuple[int, int]]:
    """Yield each tensor's range of bytes."""
    names: set[str] = set()
    for name, record in _entries(text):
        if name in names:
            raise SafetensorsError(f"The safetensors header has {name[:64]} twice.")
        names.add(name)
        if name == _METADATA:
            continue
        yield _range(_parsed(record))


def _entries(text: str) -> Iterator[tuple[str, str]]:
    """Yield name and record of each entry as they are written; neither holds an object inside."""
    position = _past(text, 0, "{")
    if _closes(text, position):
        return
    while True:
        key = _KEY.match(text, _skip(text, position))
        if key is None:
            raise _malformed()
        pattern = _TEXTS if key[1] == _METADATA else _RECORD
        record = pattern.match(text, key.end())
        if record is None:
            raise _malformed()
        yield _name(key[1]), record[0]
        position = _skip(text, record.end())
        if _closes(text, position):
            return
        position = _past(text, position, ",")


def _name(written: str) -> str:
    try:
        return str(json.loads(f'"{written}"'))
    except ValueError as error:
        raise _malformed() from error


def _closes(text: str, position: int) -> bool:
    """Tell whether the object ends here, and the header with it but for padding."""
    position = _skip(text, position)
    if not text.startswith("}", position):
        return False
    if _skip(text, position + 1) != len(text):
        raise _malformed()
    return True


def _past(text: str, position: int, mark: str) -> int:
    position = _skip(text, position)
    if not text.startswith(mark, position):
        raise _malformed()
    return position + 1


def _skip(text: str, position: int) -> int:
    space = _SPACE.match(text, position)
    return space.end() if space is not None else position


def _parsed(record: str) -> dict[str, Json]:
    try:
        value = json.loads(record)
    except (ValueError, RecursionError) as error:
        raise _malformed() from error
    if not isinstance(value, dict):
        raise _malformed()
    return value


def _range(tensor: dict[str, Json]) -> tuple[int, int]:
    kind, shape, offsets = (tensor.get(name) for name in ("dtype", "shape", "data_offsets"))
    lengths, ends = _numbers(shape), _numbers(offsets)
    if not isinstance(kind, str) or lengths is None or ends is None or len(ends) != 2:  # noqa: PLR2004 - from and to
        raise SafetensorsError("A safetensors tensor lacks its dtype, shape or data_offsets.")
    first, last = ends
    bits = math.prod(lengths) * _BITS.get(kind, 0)
    if first > last or (kind in _BITS and bits != (last - first) * 8):
        raise SafetensorsError("A safetensors tensor is not as long as its shape says.")
    return first, last


def _numbers(value: Json) -> list[int] | None:
    """Return a list of counts as JSON writes them: no sign, no fraction, no boolean."""
    if not isinstance(value, list):
        return None
    numbers = [each for each in value if type(each) is int and each >= 0]
    return numbers if len(numbers) == len(value) else None


def _malformed() -> SafetensorsError:
    return SafetensorsError("The safetensors header is not a JSON object of tensors.")
