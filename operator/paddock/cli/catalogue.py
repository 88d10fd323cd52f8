"""The schema of the chart `paddock-models`: its entries take what the specs of our kinds take.

Pure. Generated from the kinds, so that Helm refuses a misspelt field before the apiserver sees it.
"""

from collections.abc import Mapping

from paddock.api.inferencepool import InferencePoolSpec
from paddock.api.localmodel import LocalModelSpec
from paddock.api.schema import structural
from paddock.wire import Json

CATALOGUE_SCHEMA = "charts/paddock-models/values.schema.json"
_NAME = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_HOST = "^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"
_SIZE = "^([0-9]{1,18}(\\.[0-9]{1,9})?(m|k|Ki|M|Mi|G|Gi|T|Ti|P|Pi)?)?$"


def catalogue_schema() -> Mapping[str, Json]:
    """Return the JSON schema of the catalogue's values."""
    return {
        "$schema": "http://json-schema.org/draft-04/schema#",  # as OpenAPI writes bounds
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "global": {"type": "object", "description": "Helm's own; nothing is read from it."},
            "models": _entries(
                LocalModelSpec,
                "Models: a name, and any field of a LocalModel's spec.",
            ),
            "pools": _entries(
                InferencePoolSpec,
                "Pools: a name, and any field of an InferencePool's spec. Empty: one pool, named "
                "like the release, serves every model.",
            ),
            "engine": {
                "enum": ["LlamaCpp", "Ollama", "VLLM"],
                "description": "Engine of pools that name none.",
            },
            "replicaCount": {
                "type": ["integer", "null"],
                "minimum": 0,
                "maximum": 1000,
                "description": "Replicas of pools that say neither replicas nor scaling.",
            },
            "persistence": _persistence(),
            "ingress": _ingress(),
            "modelAnnotations": _annotations("Annotations of every LocalModel."),
            "poolAnnotations": _annotations("Annotations of every InferencePool."),
        },
    }


def _persistence() -> Json:
    return {
        "type": "object",
        "description": "Storage of models that have none of their own.",
        "additionalProperties": False,
        "properties": {
            "existingClaim": _text("A claim that holds them all.", f"({_NAME})?"),
            "size": _text("Size of each model's own claim.", _SIZE),
            "storageClass": _text("Class of each model's own claim.", f"({_NAME})?"),
            "retain": {
                "enum": ["", "Retain", "Delete"],
                "description": "What deleting a model does to its bytes.",
            },
        },
    }


def _ingress() -> Json:
    properties: dict[str, Json] = {
        "enabled": {
            "type": "boolean",
            "description": "Make an Ingress to the namespace's gateway. Set gateway.auth in "
            "the pools, or let the controller ask who it is, by annotations.",
        },
        "host": _text("Host of the Ingress; needed with it.", f"({_HOST})?"),
        "className": _text("Class of the Ingress; else the cluster's default.", f"({_HOST})?"),
        "tlsSecret": _text("Secret with the host's certificate.", f"({_HOST})?"),
        "timeoutSeconds": {
            "type": "integer",
            "minimum": 1,
            "maximum": 86_400,
            "description": "How long an answer may take: annotations of ingress-nginx, HAProxy and "
            "AWS's controller say it. Traefik has no limit of its own.",
        },
        "controllerNamespace": _text(
            "Where the controller's pods are: a NetworkPolicy lets them reach the gateway. Needed "
            "where they are in another namespace.",
            f"({_NAME})?",
        ),
        "annotations": _annotations("Annotations of the Ingress; they win over those it has."),
    }
    needed: Json = {
        "properties": {"enabled": {"enum": [True]}, "host": {"minLength": 1}},
    }
    off: Json = {"properties": {"enabled": {"enum": [False]}}}
    return {
        "type": "object",
        "description": "The way in from outside the cluster.",
        "additionalProperties": False,
        "properties": properties,
        "anyOf": [off, needed],
    }


def _text(description: str, pattern: str) -> Json:
    inner = pattern.replace("^", "").replace("$", "")
    return {"type": "string", "description": description, "pattern": f"^{inner}$"}


def _annotations(description: str) -> Json:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": {"type": "string"},
    }


def _entries(kind: type[LocalModelSpec | InferencePoolSpec], description: str) -> Json:
    spec = structural(kind.model_json_schema(mode="validation"))
    properties, required = spec["properties"], spec.get("required", ())
    fields = properties if isinstance(properties, Mapping) else {}
    needed = required if isinstance(required, list | tuple) else ()
    item: dict[str, Json] = {
        "type": "object",
        "required": ["name", *(name for name in needed if name != "engine")],
        "properties": {
            "name": {"type": "string", "pattern": _NAME, "maxLength": 63},
            **{name: _closed(field) for name, field in fields.items()},
        },
        "additionalProperties": False,
    }
    return {"type": "array", "description": description, "items": item}


def _closed(node: Json) -> Json:
    """Refuse unknown fields of every object, and drop what only the apiserver understands."""
    if isinstance(node, list):
        return [_closed(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    known = {key: _closed(value) for key, value in node.items() if not key.startswith("x-kube")}
    if "properties" in known:
        known["additionalProperties"] = False
    return known
