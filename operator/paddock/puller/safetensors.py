"""The header check of a safetensors file: a length, a JSON object, offsets inside the file.

Pure over an open file. Format: safetensors 0.4, a little-endian u64 and that many bytes of JSON.
"""

import json
from typing import BinaryIO

MAX_HEADER = 100 << 20


class SafetensorsError(ValueError):
    """The file is not a safetensors file that an engine should be given."""


def check_header(stream: BinaryIO, size: int) -> None:
    """Raise SafetensorsError unless the header is whole and every tensor lies in the file."""
    length = int.from_bytes(stream.read(8), "little")
    if length > MAX_HEADER or length + 8 > size:
        raise SafetensorsError("The safetensors header goes beyond the end of the file.")
    try:
        header = json.loads(stream.read(length))
    except (ValueError, RecursionError) as error:
        raise SafetensorsError("The safetensors header is not JSON.") from error
    if not isinstance(header, dict):
        raise SafetensorsError("The safetensors header is not a JSON object.")
    room = size - 8 - length
    for name, tensor in header.items():
        offsets = tensor.get("data_offsets") if isinstance(tensor, dict) else None
        if name == "__metadata__":
            continue
        if not _is_range(offsets, room):
            raise SafetensorsError("A safetensors tensor lies outside the file.")


def _is_range(offsets: object, room: int) -> bool:
    match offsets:
        case [int(first), int(last)]:
            return 0 <= first <= last <= room
        case _:
            return False
