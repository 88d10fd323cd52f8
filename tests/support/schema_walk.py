"""Every field of a CRD's spec, each with values that fit it, nearly fit it, or are hostile.

Pure. A sample is found for every pattern, so that a new field is walked without being named here;
where none is found, the walk says so and a sample must be added.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Schema = Mapping[str, Any]
Step = str | int

SAMPLES = (
    "a", "A", "1Gi", "5m", "30s", "a.example.com/b", f"sha256:{'a' * 64}",
    "https://models.example.com/tiny.gguf", "https://a.example.com", "a@b.example.com", "1", "/a",
    "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n",
)  # fmt: skip
WEIRD_TEXTS = (
    "", " ", "x" * 400, "日本語", "\u202egnp.exe", "e\u0301", "\U0001f600", "\x00", "a\nb",
    "\x1b[31m", "../../etc/passwd", "-rf", "$(id)", "{{x}}", "None", "a b", ".", "a.", "-1", "0",
    "1e3", "0x1",
)  # fmt: skip
WEIRD_NUMBERS = (0, -1, 1, 2**31, 2**53 + 1, 10**30, 0.5, -0.5, 1e308, True)
WEIRD_OTHERS: tuple[Any, ...] = (
    None, [], {}, [None], [""], ["a", "a"], [[]], [{}], {"": ""}, {"a": None}, {"a": "b"},
    {"é": "x"}, {"a": {"b": 1}}, {f"k{index}": "v" for index in range(40)},
)  # fmt: skip
UNKNOWN = "noSuchField"


class NoSampleError(AssertionError):
    """A pattern that no known sample matches."""


@dataclass(frozen=True)
class Field:
    """One field: where it is, and what the schema says of it."""

    path: tuple[Step, ...]
    schema: Schema

    @property
    def dotted(self) -> str:
        """Return the path as the apiserver writes it."""
        steps = [f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path]
        return "".join(steps).removeprefix(".")


def fields_of(spec: Schema) -> Iterator[Field]:
    """Yield every field of a spec, the deepest last."""
    yield from _fields(("spec",), spec)


def _fields(path: tuple[Step, ...], schema: Schema) -> Iterator[Field]:
    for name, child in schema.get("properties", {}).items():
        yield Field((*path, name), child)
        yield from _fields((*path, name), child)
    if "items" in schema:
        yield Field((*path, 0), schema["items"])
        yield from _fields((*path, 0), schema["items"])


def values_for(schema: Schema) -> Iterator[Any]:
    """Yield what to try in a field: its own limits and one beyond, wrong types, hostile texts."""
    yield from _around_limits(schema)
    yield from WEIRD_TEXTS
    yield from WEIRD_NUMBERS
    yield from WEIRD_OTHERS


def _around_limits(schema: Schema) -> Iterator[Any]:
    sample = sample_of(schema)
    yield sample
    for bound in ("minimum", "maximum"):
        if bound in schema:
            yield from (schema[bound] - 1, schema[bound], schema[bound] + 1)
    if "maxLength" in schema:
        yield from ("a" * schema["maxLength"], "a" * (schema["maxLength"] + 1))
    for value in schema.get("enum", ()):
        yield from (value, str(value).lower(), f"{value} ")
    if schema.get("type") == "array":
        yield [*sample, *sample]
        if "maxItems" in schema:
            yield [sample_of(schema["items"])] * (schema["maxItems"] + 1)
    if schema.get("type") == "object" and isinstance(sample, dict):
        yield {**sample, UNKNOWN: 1}


def sample_of(schema: Schema) -> Any:
    """Return a small valid value."""
    if "enum" in schema:
        return schema["enum"][0]
    return _SAMPLERS[schema.get("type", "integer")](schema)


def _sample_number(schema: Schema) -> Any:
    low = schema.get("minimum", 1)
    if schema.get("exclusiveMinimum") or schema.get("x-kubernetes-int-or-string"):
        return schema.get("maximum", low + 1)
    return low


def _sample_object(schema: Schema) -> dict[str, Any]:
    if "additionalProperties" in schema:
        return {"example.com/key": sample_of(schema["additionalProperties"])}
    properties = schema.get("properties", {})
    return {name: sample_of(properties[name]) for name in schema.get("required", ())}


def _sample_text(schema: Schema) -> str:
    pattern = re.compile(schema.get("pattern", ""))
    fitting = (text for text in SAMPLES if pattern.search(text))
    found = next(fitting, None)
    if found is None:
        raise NoSampleError(f"add a sample for the pattern {schema['pattern']}")
    return found


_SAMPLERS: Mapping[str, Callable[[Schema], Any]] = {
    "object": _sample_object,
    "array": lambda schema: [sample_of(schema["items"])],
    "boolean": lambda _: True,
    "integer": _sample_number,
    "number": _sample_number,
    "string": _sample_text,
}


def with_value(base: Mapping[str, Any], root: Schema, path: Sequence[Step], value: Any) -> Any:
    """Return the object with a value at a path; what is missing on the way gets samples."""
    return _set(base, root, path, value)


def _set(node: Any, schema: Schema, path: Sequence[Step], value: Any) -> Any:
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(step, int):
        items = list(node) if node else [sample_of(schema["items"])]
        return [_set(items[0], schema["items"], rest, value), *items[1:]]
    child = schema["properties"][step]
    known = dict(node) if node is not None else _sample_object(schema)
    before = known.get(step)
    if rest and before is None:
        before = sample_of(child)
    return {**known, step: _set(before, child, rest, value)}
