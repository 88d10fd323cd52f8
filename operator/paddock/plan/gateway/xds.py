"""Small words of Envoy's own configuration language, said once. Pure."""

import json
from collections.abc import Mapping, Sequence

from paddock.wire import Json

_TYPES = "type.googleapis.com/envoy."
METADATA = "paddock"
"""Namespace of the metadata that a request gathers on its way through the filters."""


def typed(name: str, /, **fields: Json) -> dict[str, Json]:
    """Return a message with its type, e.g. `config.route.v3.RouteConfiguration`."""
    return {"@type": f"{_TYPES}{name}", **fields}


def http_filter(name: str, kind: str, /, **fields: Json) -> dict[str, Json]:
    """Return one HTTP filter; `kind` is below extensions.filters.http."""
    config = typed(f"extensions.filters.http.{kind}", **fields)
    return {"name": name, "typed_config": config}


def lua_of_route(name: str, **fields: Json) -> dict[str, Json]:
    """Return which of a Lua filter's scripts a route runs."""
    return typed("extensions.filters.http.lua.v3.LuaPerRoute", name=name, **fields)


def from_metadata(namespace: str, key: str) -> dict[str, Json]:
    """Return where a value of a request's metadata is found."""
    return {"filter": namespace, "path": [{"key": key}]}


def discovery(version: str, resources: Sequence[Mapping[str, Json]]) -> Json:
    """Return what a file of resources holds."""
    return {"version_info": version, "resources": list(resources)}


def from_file(folder: str, file: str) -> dict[str, Json]:
    """Return a source that is read anew when the folder's link is swapped, as kubelets do."""
    return {
        "path_config_source": {
            "path": f"{folder}/{file}",
            "watched_directory": {"path": folder},
        },
        "resource_api_version": "V3",
    }


def address(port: int, host: str = "0.0.0.0") -> dict[str, Json]:  # noqa: S104 - the pod's own network
    """Return a TCP address."""
    return {"socket_address": {"address": host, "port_value": port}}


def text(value: Json) -> str:
    """Write a value so that the same value has the same bytes."""
    return json.dumps(value, separators=(",", ":"), sort_keys=True)
