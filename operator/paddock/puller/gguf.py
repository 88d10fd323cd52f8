"""A bounded reader of GGUF headers: what the file says of itself, checked against its size.

Pure over an open file. Own code because a header is hostile input: every count and length is
bounded before it is used, arrays are skipped and not kept; a vocabulary is only searched for the
markers of chat formats. Format: ggml's docs/gguf.md, versions 2
and 3. A test holds it to the `gguf` package.
"""

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import BinaryIO

from paddock.api.chat_templates import CHAT_TEMPLATE, MARKERS, ChatTemplate, detect_template

MAGIC = b"GGUF"
MAX_ENTRIES = 65_536
MAX_ARRAY = 16_777_216
MAX_STRING = 1 << 20
MAX_KEY = 65_535
MAX_NAME = 256
MAX_DIMENSIONS = 4
MAX_ELEMENTS = 1 << 50
MAX_TEXT = 16 << 20
"""Bytes of all texts that are kept together; the longest known is a chat template's 64 KiB."""
MAX_STRINGS = 4 << 20
"""Strings that are skipped together; the largest vocabularies have a tenth of it, with merges."""
MAX_HEADER = 256 << 20
_STRING, _ARRAY = 8, 9
_TOKENS = "tokenizer.ggml.tokens"
_BASE_NAME, _FINETUNE = "general.basename", "general.finetune"
"""llama.cpp's converter writes the second for what was trained further, as `it` or `Instruct`."""
_MARKERS = frozenset(marker.encode() for marker in MARKERS)
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q",
            12: "d"}  # fmt: skip
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS",
    23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M",
    30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4",
    39: "NVFP4", 40: "Q1_0",
}  # fmt: skip
_TENSOR_TYPES = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip
"""By ggml type: elements per block, bytes per block."""

Scalar = int | float | str | bool


class GgufError(ValueError):
    """The file is not a GGUF file that an engine should be given."""


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """What a GGUF file says of itself."""

    values: Mapping[str, Scalar]
    parameters: int
    tensors: int
    markers: frozenset[str] = frozenset()
    """Those of chat formats that are tokens of its vocabulary."""

    @property
    def own_template(self) -> str | None:
        """Return the chat template that the file brings."""
        return self._text(CHAT_TEMPLATE)

    @property
    def missing_template(self) -> ChatTemplate | None:
        """Return the chat template that engines have to be told, as the file brings none.

        None for weights that were made for no chat: markers are tokens there too, of no meaning.
        """
        is_base = _BASE_NAME in self.values and _FINETUNE not in self.values
        return None if self.own_template or is_base else detect_template(self.markers)

    @property
    def architecture(self) -> str | None:
        """Return general.architecture."""
        return self._text("general.architecture")

    @property
    def quantization(self) -> str | None:
        """Return the name of general.file_type."""
        kind = self.values.get("general.file_type")
        return _FILE_TYPES.get(kind) if isinstance(kind, int) else None

    @property
    def context_length(self) -> int | None:
        """Return ARCHITECTURE.context_length, in tokens."""
        return self._number("context_length")

    @property
    def cache_values_per_token(self) -> int | None:
        """Return how many numbers one token keeps in the context's cache; None where it is not so.

        Latent attention and state-space layers keep something else, and heads may differ by layer.
        """
        if self._number("attention.kv_lora_rank") or self._number("ssm.state_size"):
            return None
        layers, heads = self._number("block_count"), self._number("attention.head_count")
        width, groups = self._number("embedding_length"), self._number("attention.head_count_kv")
        own = width // heads if width and heads else None
        keys = self._number("attention.key_length") or own
        values = self._number("attention.value_length") or own
        if layers is None or groups is None or keys is None or values is None:
            return None
        return layers * groups * (keys + values)

    def _number(self, key: str) -> int | None:
        value = self.values.get(f"{self.architecture}.{key}")
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def _text(self, key: str) -> str | None:
        value = self.values.get(key)
        return value if isinstance(value, str) else None


class _Reader:
    """Reads from the header only what is there, and never past its bound."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._limit = min(size, MAX_HEADER)
        self.position = 0
        self._texts, self._strings = MAX_TEXT, MAX_STRINGS

    def take(self, count: int) -> bytes:
        if count > self._limit - self.position:
            raise GgufError("The GGUF header goes beyond the end of the file.")
        data = self._stream.read(count)
        if len(data) != count:
            raise GgufError("The GGUF header goes beyond the end of the file.")
        self.position += count
        return data

    def skip(self, count: int) -> None:
        if count > self._limit - self.position:
            raise GgufError("The GGUF header goes beyond the end of the file.")
        self._stream.seek(count, 1)
        self.position += count

    def number(self, code: str) -> int:
        (value,) = struct.unpack(f"<{code}", self.take(struct.calcsize(code)))
        return int(value)

    def text(self, limit: int) -> str:
        length = self.number("Q")
        self._texts -= length
        if length > limit or self._texts < 0:
            raise GgufError(f"A GGUF string of {length} bytes is longer than any model needs.")
        try:
            return self.take(length).decode()
        except UnicodeDecodeError as error:
            raise GgufError("A GGUF string is not UTF-8.") from error

    def name(self, limit: int) -> str:
        name = self.text(limit)
        if not name:
            raise GgufError("The GGUF header has an entry without a name.")
        return name

    def skip_texts(self, count: int, wanted: frozenset[bytes] = frozenset()) -> frozenset[bytes]:
        """Go past so many strings; return those among them that are wanted."""
        found, longest = set(), max(map(len, wanted), default=-1)
        self._strings -= count
        if self._strings < 0:
            raise GgufError("The GGUF header has more strings than any model needs.")
        for _ in range(count):
            length = self.number("Q")
            if length > MAX_STRING:
                raise GgufError("A GGUF string is longer than any model needs.")
            if length > longest:
                self.skip(length)
            elif (text := self.take(length)) in wanted:
                found.add(text)
        return frozenset(found)


def read_header(stream: BinaryIO, size: int) -> GgufHeader:
    """Read and check the header of a file of this many bytes."""
    reader = _Reader(stream, size)
    if reader.take(4) != MAGIC:
        raise GgufError("The file is not GGUF: its first four bytes are others.")
    version = reader.number("I")
    if version not in (2, 3):
        raise GgufError(f"GGUF version {version} is not one that engines read (2 or 3).")
    tensors, entries = reader.number("Q"), reader.number("Q")
    if tensors > MAX_ENTRIES or entries > MAX_ENTRIES:
        raise GgufError("The GGUF header counts more entries than any model has.")
    values: dict[str, Scalar] = {}
    markers: frozenset[str] = frozenset()
    for _ in range(entries):
        key = reader.name(MAX_KEY)
        if key in values:
            raise GgufError(f"The GGUF header says {key[:64]!r} twice.")
        kind = reader.number("I")
        if kind == _ARRAY:
            found = _skip_array(reader, _MARKERS if key == _TOKENS else frozenset())
            markers |= {text.decode() for text in found}
        else:
            values[key] = _value(reader, kind)
    parameters = _check_tensors(reader, tensors, _alignment(values), size)
    return GgufHeader(values, parameters, tensors, markers)


def _value(reader: _Reader, kind: int) -> Scalar:
    if kind == _STRING:
        return reader.text(MAX_STRING)
    if kind not in _SCALARS:
        raise GgufError(f"GGUF value type {kind} does not exist.")
    code = _SCALARS[kind]
    (value,) = struct.unpack(f"<{code}", reader.take(struct.calcsize(code)))
    scalar: Scalar = value
    return scalar


def _skip_array(reader: _Reader, wanted: frozenset[bytes]) -> frozenset[bytes]:
    """Go past an array; return the strings in it that are wanted."""
    kind, count = reader.number("I"), reader.number("Q")
    if count > MAX_ARRAY:
        raise GgufError(f"A GGUF array of {count} values is longer than any model needs.")
    if kind == _STRING:
        return reader.skip_texts(count, wanted)
    if kind not in _SCALARS:
        raise GgufError(f"GGUF arrays of type {kind} are not read by engines.")
    reader.skip(count * struct.calcsize(_SCALARS[kind]))
    return frozenset()


def _alignment(values: Mapping[str, Scalar]) -> int:
    value = values.get("general.alignment", 32)
    if not isinstance(value, int) or value < 1 or value > MAX_KEY or value & (value - 1):
        raise GgufError("The GGUF alignment is not a power of two.")
    return value


def _check_tensors(reader: _Reader, count: int, alignment: int, size: int) -> int:
    """Check that every tensor lies in the file, after the one before; return the parameters."""
    parameters, end, names = 0, 0, set()
    for _ in range(count):
        name = reader.name(MAX_NAME)
        if name in names:
            raise GgufError(f"The GGUF header has the tensor {name[:64]!r} twice.")
        names.add(name)
        elements, row = _shape(reader)
        kind, offset = reader.number("I"), reader.number("Q")
        block, bytes_per_block = _TENSOR_TYPES.get(kind, (1, 0))
        if offset % alignment or elements > MAX_ELEMENTS or offset > size or row % block:
            raise GgufError("A GGUF tensor lies where no tensor can.")
        if offset < end:
            raise GgufError("Two GGUF tensors lie over each other.")
        parameters += elements
        end = offset + elements // block * bytes_per_block
    start = -(-reader.position // alignment) * alignment
    if start + end > size:
        raise GgufError("The GGUF file is cut off: its tensors go beyond its end.")
    return parameters


def _shape(reader: _Reader) -> tuple[int, int]:
    """Return how many elements a tensor has, and how many of them are one row."""
    dimensions = reader.number("I")
    if dimensions > MAX_DIMENSIONS:
        raise GgufError(f"A GGUF tensor has {dimensions} dimensions; at most four exist.")
    lengths = [reader.number("Q") for _ in range(dimensions)]
    if any(length > MAX_ELEMENTS for length in lengths):
        raise GgufError("A GGUF tensor is larger than any tensor.")
    return math.prod(lengths), lengths[0] if lengths else 1
