"""A pydantic JSON schema turned into a structural Kubernetes schema.

Pure. Refuses what Kubernetes cannot express instead of losing it. The rules are those of
apiextensions/v1: no $ref, no title, no null type, int-or-string as its own marker.
"""

from collections.abc import Mapping

from paddock.wire import Json

Schema = dict[str, Json]
_KEPT = frozenset(
    {
        "description", "enum", "format", "maxItems", "maxLength", "maxProperties", "maximum",
        "minItems", "minLength", "minProperties", "minimum", "pattern", "required", "type",
    }
)  # fmt: skip
_DROPPED = frozenset({"default", "title", "const", "$defs", "exclusiveMinimum", "exclusiveMaximum"})
_HANDLED = frozenset({"properties", "items", "additionalProperties", "anyOf"})


class SchemaError(ValueError):
    """The model says something a structural schema cannot."""


def structural(schema: Mapping[str, Json]) -> Schema:
    """Return the structural form of a pydantic JSON schema (mode validation, by alias)."""
    definitions = schema.get("$defs", {})
    if not isinstance(definitions, Mapping):
        raise SchemaError("$defs must be a mapping")
    return _node(schema, definitions, "")


def _node(raw: Mapping[str, Json], definitions: Mapping[str, Json], path: str) -> Schema:
    node = _without_reference(raw, definitions, path)
    if "anyOf" in node:
        node = _folded(node, definitions, path)
    if node.get("x-kubernetes-int-or-string"):
        return {key: node[key] for key in node if key not in _DROPPED | {"type"}}
    unknown = {key for key in node if not key.startswith("x-")} - _KEPT - _DROPPED - _HANDLED
    if unknown:
        raise SchemaError(f"{path}: cannot express {sorted(unknown)} in a structural schema")
    result: Schema = {key: node[key] for key in node if key in _KEPT or key.startswith("x-")}
    result.update(_bounds(node))
    if "const" in node:
        result["enum"] = [node["const"]]
    result.update(_children(node, definitions, path))
    if "type" not in result:
        raise SchemaError(f"{path}: has no type")
    return result


def _without_reference(
    raw: Mapping[str, Json], definitions: Mapping[str, Json], path: str
) -> dict[str, Json]:
    reference = raw.get("$ref")
    if not isinstance(reference, str):
        return dict(raw)
    target = definitions.get(reference.removeprefix("#/$defs/"))
    if not isinstance(target, Mapping):
        raise SchemaError(f"{path}: unknown reference {reference}")
    return {**target, **{key: value for key, value in raw.items() if key != "$ref"}}


def _folded(
    node: Mapping[str, Json], definitions: Mapping[str, Json], path: str
) -> dict[str, Json]:
    """Fold `X or null` to X, and `integer or string` to the Kubernetes marker."""
    branches = node["anyOf"]
    if not isinstance(branches, list):
        raise SchemaError(f"{path}: anyOf must be a list")
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    options = [
        _without_reference(branch, definitions, path)
        for branch in branches
        if isinstance(branch, Mapping) and branch.get("type") != "null"
    ]
    if len(options) == 1:
        return {**_without_reference(options[0], definitions, path), **rest}
    if sorted(str(option.get("type")) for option in options) == ["integer", "string"]:
        return {**_int_or_string(options), **rest}
    raise SchemaError(f"{path}: a union other than `or null` and int-or-string")


def _int_or_string(options: list[dict[str, Json]]) -> dict[str, Json]:
    merged: dict[str, Json] = {"x-kubernetes-int-or-string": True}
    for option in options:
        merged.update(_bounds(option))
        merged.update(
            (key, option[key])
            for key in ("pattern", "minimum", "maximum", "maxLength")
            if key in option
        )
        if "const" in option:
            merged["pattern"] = f"^{option['const']}$"
    return merged


def _bounds(node: Mapping[str, Json]) -> Schema:
    """Write OpenAPI 3.0's exclusive bounds: a bound and a flag."""
    result: Schema = {}
    for side in ("Minimum", "Maximum"):
        bound = node.get(f"exclusive{side}")
        if bound is not None:
            result[side.lower()] = bound
            result[f"exclusive{side}"] = True
    return result


def _children(node: Mapping[str, Json], definitions: Mapping[str, Json], path: str) -> Schema:
    result: Schema = {}
    properties, items, values = (
        node.get(key) for key in ("properties", "items", "additionalProperties")
    )
    if isinstance(properties, Mapping):
        result["properties"] = {
            name: _node(child, definitions, f"{path}.{name}")
            for name, child in properties.items()
            if isinstance(child, Mapping)
        }
    elif isinstance(values, Mapping):
        result["additionalProperties"] = _node(values, definitions, f"{path}.*")
    if isinstance(items, Mapping):
        result["items"] = _node(items, definitions, f"{path}[]")
    keys = node.get("x-kubernetes-list-map-keys")
    if isinstance(keys, list):
        result["x-kubernetes-list-type"] = "map"
    return result
