"""GGUF and safetensors files whose headers lie."""

import json
import struct

from paddock.api.pull import PullReason
from support.hostile.case import Case, file

_INVALID = PullReason.INVALID_ARTIFACT
_U32, _F32, _BOOL, _TEXT, _LIST, _U64 = 4, 6, 7, 8, 9, 10
HUGE = 2**64 - 1


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def u64(value: int) -> bytes:
    return struct.pack("<Q", value)


def text(value: bytes) -> bytes:
    return u64(len(value)) + value


def entry(key: bytes, kind: int, value: bytes) -> bytes:
    return text(key) + u32(kind) + value


def tensor(name: bytes, lengths: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + u32(len(lengths)) + b"".join(map(u64, lengths)) + u32(kind) + u64(offset)


def gguf(
    entries: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    *,
    data: int = 0,
    counts: tuple[int, int] | None = None,
    version: int = 3,
) -> bytes:
    """Return a GGUF file of these parts; `counts` lies about them: tensors, entries."""
    said = counts or (len(tensors), len(entries))
    head = b"GGUF" + u32(version) + u64(said[0]) + u64(said[1]) + b"".join(entries + tensors)
    return head + bytes(-len(head) % 32) + bytes(data)


ARCHITECTURE = entry(b"general.architecture", _TEXT, text(b"llama"))
WHOLE = gguf((ARCHITECTURE,), (tensor(b"a", (32,), 0, 0),), data=128)
"""A file that is right, to be spoiled."""

GGUFS: tuple[tuple[str, bytes], ...] = (
    *((f"cut off after {count} bytes", WHOLE[:count]) for count in (4, 7, 8, 15, 16, 23, 24, 31, 40, 70, 99)),
    ("cut off by one byte", WHOLE[:-1]),
    ("version 0", gguf(version=0)),
    ("version 1", gguf(version=1)),
    ("version 4", gguf(version=4)),
    ("version of the other byte order", gguf(version=3 << 24)),
    ("2^64-1 tensors", gguf(counts=(HUGE, 0))),
    ("2^64-1 entries", gguf(counts=(0, HUGE))),
    ("2^63 tensors", gguf(counts=(2**63, 0))),
    ("65,537 entries", gguf(counts=(0, 65_537))),
    ("more tensors than it has", gguf(counts=(9, 0))),
    ("more entries than it has", gguf((ARCHITECTURE,), counts=(0, 2))),
    ("key of 2^64-1 bytes", gguf((u64(HUGE),))),
    ("key of 2^63 bytes", gguf((u64(2**63),))),
    ("key beyond the end", gguf((u64(60_000) + b"a",))),
    ("key of 70,000 bytes", gguf((entry(b"k" * 70_000, _U32, u32(1)),))),
    ("key twice", gguf((ARCHITECTURE, ARCHITECTURE))),
    ("key of bad UTF-8", gguf((entry(b"\xff\xfe", _U32, u32(1)),))),
    ("key of a surrogate", gguf((entry(b"\xed\xa0\x80", _U32, u32(1)),))),
    ("key of overlong UTF-8", gguf((entry(b"\xc0\xaf", _U32, u32(1)),))),
    ("text of bad UTF-8", gguf((entry(b"k", _TEXT, text(b"\x80")),))),
    ("text of 2^64-1 bytes", gguf((entry(b"k", _TEXT, u64(HUGE)),))),
    ("text of 2 MiB", gguf((entry(b"k", _TEXT, text(bytes(2 << 20))),))),
    ("32 texts of 1 MiB", gguf(tuple(entry(b"k%d" % n, _TEXT, text(b"x" * (1 << 20))) for n in range(32)))),
    ("value of type 13", gguf((entry(b"k", 13, u32(1)),))),
    ("value of type 2^32-1", gguf((entry(b"k", 2**32 - 1, u32(1)),))),
    ("list of lists", gguf((entry(b"k", _LIST, u32(_LIST) + u64(1) + u32(_LIST) + u64(1)),))),
    ("lists 1000 deep", gguf((entry(b"k", _LIST, (u32(_LIST) + u64(1)) * 1000),))),
    ("list of type 99", gguf((entry(b"k", _LIST, u32(99) + u64(1)),))),
    ("list of 2^64-1 bytes", gguf((entry(b"k", _LIST, u32(0) + u64(HUGE)),))),
    ("list of 2^63 numbers", gguf((entry(b"k", _LIST, u32(_U64) + u64(2**63)),))),
    ("list of 2^61 numbers of 8 bytes", gguf((entry(b"k", _LIST, u32(_U64) + u64(2**61)),))),
    ("list of 2^64-1 texts", gguf((entry(b"k", _LIST, u32(_TEXT) + u64(HUGE)),))),
    ("list of 5,000,000 texts", gguf((entry(b"k", _LIST, u32(_TEXT) + u64(5_000_000)),), data=64)),
    ("list of numbers beyond the end", gguf((entry(b"k", _LIST, u32(_U32) + u64(1_000_000)),))),
    ("list with a text of 2^64-1 bytes", gguf((entry(b"k", _LIST, u32(_TEXT) + u64(1) + u64(HUGE)),))),
    ("list with a text beyond the end", gguf((entry(b"k", _LIST, u32(_TEXT) + u64(1) + u64(9999)),))),
    ("alignment 0", gguf((entry(b"general.alignment", _U32, u32(0)),))),
    ("alignment 3", gguf((entry(b"general.alignment", _U32, u32(3)),))),
    ("alignment 2^31", gguf((entry(b"general.alignment", _U32, u32(2**31)),))),
    ("alignment of text", gguf((entry(b"general.alignment", _TEXT, text(b"32")),))),
    ("alignment not a number", gguf((entry(b"general.alignment", _F32, struct.pack("<f", float("nan"))),))),
    ("alignment infinite", gguf((entry(b"general.alignment", _F32, struct.pack("<f", float("inf"))),))),
    ("alignment false", gguf((entry(b"general.alignment", _BOOL, b"\0"),))),
    ("5 dimensions", gguf((), (tensor(b"a", (1,) * 5, 0, 0),), data=64)),
    ("2^32-1 dimensions", gguf((), (text(b"a") + u32(2**32 - 1),), data=64)),
    ("2^64-1 elements", gguf((), (tensor(b"a", (HUGE,), 0, 0),), data=64)),
    ("elements that overflow to one", gguf((), (tensor(b"a", (2**32, 2**32), 0, 0),), data=64)),
    ("elements that overflow to none", gguf((), (tensor(b"a", (2**63, 2, 2), 0, 0),), data=64)),
    ("none times 2^63 elements", gguf((), (tensor(b"a", (2**63, 0), 0, 0),), data=64)),
    ("half a block", gguf((), (tensor(b"a", (33,), 2, 0),), data=64)),
    ("offset off its alignment", gguf((), (tensor(b"a", (1,), 0, 1),), data=64)),
    ("offset 2^64-32", gguf((), (tensor(b"a", (1,), 0, 2**64 - 32),), data=64)),
    ("offset beyond the end", gguf((), (tensor(b"a", (32,), 0, 4096),), data=128)),
    ("tensor beyond the end", gguf((), (tensor(b"a", (4096,), 0, 0),), data=128)),
    ("tensors over each other", gguf((), (tensor(b"a", (32,), 0, 0), tensor(b"b", (32,), 0, 64)), data=256)),
    ("tensors in the same place", gguf((), (tensor(b"a", (32,), 0, 0), tensor(b"b", (32,), 0, 0)), data=256)),
    ("tensors against their order", gguf((), (tensor(b"a", (32,), 0, 128), tensor(b"b", (32,), 0, 0)), data=256)),
    ("tensor twice", gguf((), (tensor(b"a", (8,), 0, 0), tensor(b"a", (8,), 0, 32)), data=256)),
    ("tensor name of 300 bytes", gguf((), (tensor(b"n" * 300, (8,), 0, 0),), data=64)),
    ("tensor name of bad UTF-8", gguf((), (tensor(b"\xff", (8,), 0, 0),), data=64)),
)  # fmt: skip


def safetensors(header: bytes, data: int = 0, length: int | None = None) -> bytes:
    return u64(len(header) if length is None else length) + header + bytes(data)


def one(**more: object) -> bytes:
    """Return a header of one tensor of 16 bytes, changed."""
    return json.dumps(
        {"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **more}}
    ).encode()


TWO = b'{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[%d],"data_offsets":[%d,%d]}}'

SAFETENSORS: tuple[tuple[str, bytes], ...] = (
    ("no bytes of length", b"\x02\x00\x00"),
    ("no header", safetensors(b"")),
    ("length 2^64-1", safetensors(b"{}", length=HUGE)),
    ("length 2^63", safetensors(b"{}", length=2**63)),
    ("length beyond the end", safetensors(b"{}", length=3)),
    ("header of 17 MiB", safetensors(b"{" + b" " * (17 << 20) + b"}")),
    ("length that cuts the object", safetensors(one(), 16, length=10)),
    ("a list", safetensors(b"[]")),
    ("null", safetensors(b"null")),
    ("a number", safetensors(b"7")),
    ("bad UTF-8", safetensors(b'{"\xff": {}}')),
    ("NUL", safetensors(bytes(64))),
    ("spaces only", safetensors(b" " * 64)),
    ("comma at the end", safetensors(one()[:-1] + b",}", 16)),
    ("words after the object", safetensors(one() + b"x", 16)),
    ("two objects", safetensors(b"{}{}")),
    ("objects 100,000 deep", safetensors(b'{"a":' * 100_000)),
    ("lists 100,000 deep", safetensors(b'{"a":{"shape":' + b"[" * 100_000)),
    ("a million empty lists", safetensors(b'{"a":[' + b"[]," * 1_000_000 + b"[]]}")),
    ("a number of 5000 digits", safetensors(one(data_offsets=[0, 0]).replace(b"[0, 0]", b"[0," + b"9" * 5000 + b"]"), 16)),
    ("metadata without end", safetensors(b'{"__metadata__":{"a":"' + b"x" * 1_000_000)),
    ("metadata with an object inside", safetensors(b'{"__metadata__":{"a":{"b":1}}}')),
    ("key without end", safetensors(b'{"' + b"x" * 1_000_000)),
    ("key with a broken escape", safetensors(one().replace(b'"a"', b'"\\x"'), 16)),
    ("tensor a number", safetensors(b'{"a": 7}')),
    ("tensor null", safetensors(b'{"a": null}')),
    ("tensor of nothing", safetensors(b'{"a": {}}')),
    ("offsets missing", safetensors(b'{"a":{"dtype":"F32","shape":[4]}}', 16)),
    ("shape missing", safetensors(b'{"a":{"dtype":"F32","data_offsets":[0,16]}}', 16)),
    ("dtype missing", safetensors(b'{"a":{"shape":[4],"data_offsets":[0,16]}}', 16)),
    ("dtype a list", safetensors(one(dtype=["F32"]), 16)),
    ("shape of texts", safetensors(one(shape=["4"]), 16)),
    ("shape below nothing", safetensors(one(shape=[-4]), 16)),
    ("shape of halves", safetensors(one(shape=[4.0]), 16)),
    ("shape true", safetensors(one(shape=[True, True], data_offsets=[0, 4]), 4)),
    ("shape not a number", safetensors(one(shape=[float("nan")]), 16)),
    ("shape infinite", safetensors(one(shape=[float("inf")]), 16)),
    ("shape that overflows", safetensors(one(shape=[2**62, 4]), 16)),
    ("offsets of one", safetensors(one(data_offsets=[16]), 16)),
    ("offsets of three", safetensors(one(data_offsets=[0, 8, 16]), 16)),
    ("offsets below nothing", safetensors(one(data_offsets=[-16, 0]), 16)),
    ("offsets turned round", safetensors(one(data_offsets=[16, 0]), 16)),
    ("offsets true", safetensors(one(data_offsets=[False, True], shape=[]), 1)),
    ("offsets not numbers", safetensors(one(data_offsets=[float("nan"), float("nan")]), 16)),
    ("offsets beyond the end", safetensors(one(data_offsets=[0, 16]), 8)),
    ("offsets of 2^64", safetensors(one(data_offsets=[2**64, 2**64 + 16]), 16)),
    ("length and shape apart", safetensors(one(shape=[5]), 16)),
    ("bytes after the last tensor", safetensors(one(), 17)),
    ("hole before the first tensor", safetensors(one(data_offsets=[8, 24]), 24)),
    ("tensors over each other", safetensors(TWO % (8, 4, 12), 12)),
    ("tensors in the same place", safetensors(TWO % (8, 0, 8), 8)),
    ("hole between tensors", safetensors(TWO % (8, 16, 24), 24)),
    ("tensor twice", safetensors((TWO % (8, 8, 16)).replace(b'"b"', b'"a"'), 16)),
    ("tensor twice in other letters", safetensors((TWO % (8, 8, 16)).replace(b'"b"', b'"\\u0061"'), 16)),
)  # fmt: skip

CASES: tuple[Case, ...] = (
    *(file(f"gguf: {name}", _INVALID, content) for name, content in GGUFS),
    *(
        file(f"safetensors: {name}", _INVALID, content, "/m.safetensors")
        for name, content in SAFETENSORS
    ),
)
