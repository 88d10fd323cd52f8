"""Our header reader against the `gguf` package's writer: what it writes is read as it was meant."""

import io
import tempfile
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
from gguf.constants import GGML_QUANT_SIZES
from hypothesis import given, settings
from hypothesis import strategies as st

from paddock.puller.gguf import _FILE_TYPES, _TENSOR_TYPES, GgufError, read_header

_TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
_KEY = st.text("abcdefghijklmnopqrstuvwxyz0123456789_.", min_size=1, max_size=40)
_INTEGERS = {
    gguf.GGUFValueType.UINT8: st.integers(0, 2**8 - 1),
    gguf.GGUFValueType.INT8: st.integers(-(2**7), 2**7 - 1),
    gguf.GGUFValueType.UINT16: st.integers(0, 2**16 - 1),
    gguf.GGUFValueType.INT16: st.integers(-(2**15), 2**15 - 1),
    gguf.GGUFValueType.UINT32: st.integers(0, 2**32 - 1),
    gguf.GGUFValueType.INT32: st.integers(-(2**31), 2**31 - 1),
    gguf.GGUFValueType.UINT64: st.integers(0, 2**64 - 1),
    gguf.GGUFValueType.INT64: st.integers(-(2**63), 2**63 - 1),
    gguf.GGUFValueType.FLOAT32: st.floats(width=32, allow_nan=False),
    gguf.GGUFValueType.FLOAT64: st.floats(allow_nan=False),
    gguf.GGUFValueType.BOOL: st.booleans(),
    gguf.GGUFValueType.STRING: _TEXT,
}
_SCALAR = st.sampled_from(sorted(_INTEGERS)).flatmap(
    lambda kind: st.tuples(st.just(kind), _INTEGERS[kind])
)
_LIST = st.sampled_from(sorted(_INTEGERS)).flatmap(
    lambda kind: st.tuples(st.just(kind), st.lists(_INTEGERS[kind], min_size=1, max_size=8))
)
_TYPES = st.sampled_from(
    sorted(GGML_QUANT_SIZES.keys() & {gguf.GGMLQuantizationType(kind) for kind in (
        0, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 29, 30, 34, 35, 39,
    )})
)  # fmt: skip
_TENSOR = st.tuples(_TYPES, st.lists(st.integers(1, 4), min_size=1, max_size=4))


def written(
    values: dict[str, tuple[Any, Any]],
    lists: dict[str, tuple[Any, list[Any]]],
    tensors: dict[str, tuple[Any, list[int]]],
    alignment: int,
) -> tuple[bytes, int]:
    """Return a file of the package's writer, and how many parameters it holds."""
    parameters = 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.gguf"
        writer = gguf.GGUFWriter(str(path), "llama")
        writer.add_custom_alignment(alignment)
        for key, (kind, value) in values.items():
            writer.add_key_value(key, value, kind)
        for key, (kind, content) in lists.items():
            writer.add_key_value(key, content, gguf.GGUFValueType.ARRAY, sub_type=kind)
        for name, (kind, shape) in tensors.items():
            block, size = GGML_QUANT_SIZES[kind]
            data = np.zeros((*shape[:-1], shape[-1] * size), dtype=np.uint8)
            writer.add_tensor(name, data, raw_dtype=kind)
            parameters += int(np.prod(shape)) * block
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return path.read_bytes(), parameters


def test_every_type_of_the_package_has_its_size_here() -> None:
    sizes = {int(kind): tuple(size) for kind, size in GGML_QUANT_SIZES.items()}
    other_in_c = {int(gguf.GGMLQuantizationType.Q8_1)}  # 36 bytes in ggml; never in a file
    assert {kind: _TENSOR_TYPES.get(kind) for kind in sizes.keys() - other_in_c} == {
        kind: size for kind, size in sizes.items() if kind not in other_in_c
    }


def test_every_file_type_of_the_package_has_its_name_here() -> None:
    for kind in gguf.LlamaFileType:
        name = kind.name.removeprefix("MOSTLY_").removeprefix("ALL_").removesuffix("_MOE")
        assert kind is gguf.LlamaFileType.GUESSED or _FILE_TYPES[int(kind)] == name


@settings(max_examples=150)
@given(
    values=st.dictionaries(_KEY.map("v.{}".format), _SCALAR, max_size=12),
    lists=st.dictionaries(_KEY.map("l.{}".format), _LIST, max_size=6),
    tensors=st.dictionaries(_KEY, _TENSOR, max_size=6),
    alignment=st.sampled_from([8, 16, 32, 64, 128]),
)
def test_header_written_by_the_gguf_package_is_read_equal(
    values: dict[str, tuple[Any, Any]],
    lists: dict[str, tuple[Any, list[Any]]],
    tensors: dict[str, tuple[Any, list[int]]],
    alignment: int,
) -> None:
    content, parameters = written(values, lists, tensors, alignment)
    header = read_header(io.BytesIO(content), len(content))
    expected = {key: value for key, (_, value) in values.items()}
    expected |= {"general.architecture": "llama", "general.alignment": alignment}
    assert dict(header.values) == expected
    assert header.architecture == "llama"
    assert (header.tensors, header.parameters) == (len(tensors), parameters)


@settings(max_examples=50)
@given(tensors=st.dictionaries(_KEY, _TENSOR, min_size=1, max_size=4), data=st.data())
def test_file_cut_anywhere_is_refused_and_never_anything_worse(
    tensors: dict[str, tuple[Any, list[int]]], data: st.DataObject
) -> None:
    content, _ = written({}, {}, tensors, 32)
    last = sum(
        int(np.prod(shape)) * GGML_QUANT_SIZES[kind][1]
        for kind, shape in [list(tensors.values())[-1]]
    )
    padding = -last % 32
    cut = data.draw(st.integers(0, len(content) - padding - 1))
    with pytest.raises(GgufError):
        read_header(io.BytesIO(content[:cut]), cut)


@settings(max_examples=300)
@given(where=st.integers(0, 400), what=st.binary(min_size=1, max_size=12))
def test_spoiled_header_is_read_or_refused_and_never_anything_else(where: int, what: bytes) -> None:
    content, _ = written({"v.a": (gguf.GGUFValueType.STRING, "x")}, {}, {"t": (0, [4])}, 32)
    spoiled = content[:where] + what + content[where + len(what) :]
    assert told(spoiled)


def told(content: bytes) -> str:
    """Return what a header says, or why it is refused."""
    try:
        return repr(read_header(io.BytesIO(content), len(content)))
    except GgufError as error:
        return str(error)
