"""The two CustomResourceDefinitions, generated from the pydantic models.

Pure. Cross-field rules are CEL here, so that the apiserver refuses with the path and no webhook is
needed. `paddock crds --check` holds the committed files to this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddock import names
from paddock.api.base import UNSEEN
from paddock.api.inferencepool import InferencePoolSpec, InferencePoolStatus
from paddock.api.localmodel import LocalModelSpec, LocalModelStatus
from paddock.api.schema import Schema, structural
from paddock.wire import Json, Manifest


@dataclass(frozen=True, slots=True)
class Rule:
    """One CEL rule at one place of the spec; `path` is dotted."""

    path: str
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Column:
    """One column that kubectl prints; priority 1 shows with -o wide."""

    name: str
    json_path: str
    type: str = "string"
    priority: int = 0


_LABEL_KEYS = (
    "self.all(k, size(k) <= 317 && "
    "k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$'))"
)
_TOLERATIONS = (
    ("self.all(t, has(t.key) || (has(t.operator) && t.operator == 'Exists'))",
     "a toleration without a key has operator Exists"),
    ("self.all(t, !(has(t.operator) && t.operator == 'Exists') || !has(t.value) || t.value == '')",
     "a toleration with operator Exists has no value"),
    ("self.all(t, !has(t.tolerationSeconds) || (has(t.effect) && t.effect == 'NoExecute'))",
     "tolerationSeconds goes with effect NoExecute only"),
)  # fmt: skip
_LABEL_KEYS_MESSAGE = "every key must be a label name such as gpu-type or example.com/zone"


def _tolerations(path: str) -> tuple[Rule, ...]:
    """Return what Kubernetes demands of tolerations beyond their fields."""
    return tuple(Rule(path, rule, message) for rule, message in _TOLERATIONS)


def _positive(path: str, field: str) -> Rule:
    """Return the rule that a quantity is not nothing; null fields are not there."""
    whole, text = f"self.{field}", f"string(self.{field})"
    rule = (
        f"!has({whole}) || (type({whole}) == int ? {whole} > 0 : "
        f"quantity({text}).isGreaterThan(quantity('0')))"
    )
    return Rule(path, rule, f"{field} must be more than nothing")


MODEL_RULES = (
    Rule(
        "storage",
        "!has(self.claimName) || "
        "!(has(self.size) || has(self.storageClassName) || has(self.accessModes))",
        "claimName names an existing claim: leave out size, storageClassName and accessModes",
    ),
    Rule(
        "",
        "!self.source.startsWith('pvc://') || "
        "!(has(self.storage) || has(self.credentials) || has(self.pull))",
        "a pvc:// source is used where it is: leave out storage, credentials and pull",
    ),
    _positive("storage", "size"),
    _positive("pull.resources", "memory"),
    *_tolerations("pull.tolerations"),
    Rule("pull.nodeSelector", _LABEL_KEYS, _LABEL_KEYS_MESSAGE),
)
POOL_RULES = (
    Rule(
        "",
        "!(has(self.replicas) && has(self.scaling))",
        "scaling decides the number of replicas: leave out replicas (kubectl scale and an "
        "autoscaler of the pool write it), or leave out scaling",
    ),
    Rule(
        "",
        "self.engine.name != 'VLLM' || size(self.models) == 1",
        "a VLLM pool serves exactly one model: make one pool per model",
    ),
    Rule(
        "",
        "!has(self.telemetry) || !has(self.telemetry.engineSpans) || !self.telemetry.engineSpans "
        "|| (self.engine.name == 'VLLM' && has(self.engine.image))",
        "only VLLM has spans of its own; name an engine.image that has OpenTelemetry's packages",
    ),
    _positive("hardware", "memory"),
    *_tolerations("hardware.tolerations"),
    Rule("hardware.nodeSelector", _LABEL_KEYS, _LABEL_KEYS_MESSAGE),
    Rule(
        "gateway.expose",
        "!has(self.ingressClassName) || self.by == 'Ingress'",
        "ingressClassName goes with by: Ingress; an HTTPRoute has the administrator's Gateway",
    ),
    Rule("gateway.inferenceExtension.endpointPicker.podLabels", _LABEL_KEYS, _LABEL_KEYS_MESSAGE),
    Rule(
        "gateway.auth",
        "has(self.apiKeys) || has(self.serviceAccounts) || has(self.issuers)",
        "auth names what is accepted: apiKeys, serviceAccounts, issuers; without it, all are",
    ),
    Rule(
        "gateway.auth.issuers",
        "self.all(i, !i.jwksUri.matches('^https://([^/:]*[.])?(localhost|localdomain)(:|/|$)'))",
        "jwksUri must name a host that is not the gateway itself",
    ),
    Rule(
        "gateway.auth.issuers",
        "self.all(i, !i.jwksUri.matches('^https://[^/:]*:') || int(i.jwksUri.split('/')[2]"
        ".split(':')[1]) <= 65535)",
        "the port of jwksUri must be at most 65535",
    ),
    Rule(
        "scaling",
        "!(has(self.min) && has(self.max)) || self.min <= self.max",
        "min must not be greater than max",
    ),
    Rule(
        "scaling",
        "!has(self.idle) || !has(self.idle.zeroAfter) || (has(self.min) && self.min == 0)",
        "idle.zeroAfter needs min: 0",
    ),
    Rule(
        "scaling.idle",
        "!has(self.zeroAfter) || duration(self.zeroAfter) >= duration('10s')",
        "zeroAfter must be at least 10s",
    ),
    Rule(
        "scaling.idle",
        "!has(self.unloadAfter) || duration(self.unloadAfter) >= duration('1s')",
        "unloadAfter must be at least 1s",
    ),
    Rule(
        "scaling.idle",
        "!(has(self.unloadAfter) && has(self.zeroAfter)) || "
        "duration(self.unloadAfter) < duration(self.zeroAfter)",
        "unloadAfter must be shorter than zeroAfter",
    ),
)
_READY = '.status.conditions[?(@.type=="Ready")]'
MODEL_COLUMNS = (
    Column("Ready", f"{_READY}.status"),
    Column("Reason", f"{_READY}.reason"),
    Column("Percent", ".status.progress.percent", "integer"),
    Column("Bytes", ".status.artifact.bytes", "integer"),
    Column("Architecture", ".status.artifact.architecture"),
    Column("Quantization", ".status.artifact.quantization"),
    Column("Digest", ".status.artifact.digest", priority=1),
    Column("Source", ".spec.source", priority=1),
    Column("Claim", ".status.claimName", priority=1),
    Column("Age", ".metadata.creationTimestamp", "date"),
)
POOL_COLUMNS = (
    Column("Engine", ".spec.engine.name"),
    Column("Ready", f"{_READY}.status"),
    Column("Reason", f"{_READY}.reason"),
    Column("Wanted", ".status.replicas", "integer"),
    Column("Serving", ".status.readyReplicas", "integer"),
    Column("Endpoint", ".status.endpoint.openai"),
    Column("Message", f"{_READY}.message", priority=1),
    Column("Age", ".metadata.creationTimestamp", "date"),
)
_SCALE: Schema = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}


def build_local_model_crd() -> Manifest:
    """Return the CustomResourceDefinition of LocalModel."""
    spec = structural(LocalModelSpec.model_json_schema(mode="validation"))
    status = structural(LocalModelStatus.model_json_schema(mode="validation"))
    return _crd(
        names=_names(names.LOCAL_MODEL, "localmodels", "lmodel"),
        schema=_object_schema(_with_rules(spec, MODEL_RULES), status),
        columns=MODEL_COLUMNS,
        subresources={"status": {}},
    )


def build_inference_pool_crd() -> Manifest:
    """Return the CustomResourceDefinition of InferencePool."""
    spec = structural(InferencePoolSpec.model_json_schema(mode="validation"))
    status = structural(InferencePoolStatus.model_json_schema(mode="validation"))
    return _crd(
        names=_names(names.INFERENCE_POOL, "inferencepools", "ipool"),
        schema=_object_schema(_with_rules(spec, POOL_RULES), status),
        columns=POOL_COLUMNS,
        subresources={"status": {}, "scale": _SCALE},
    )


def _names(kind: str, plural: str, short: str) -> Schema:
    return {
        "kind": kind,
        "listKind": f"{kind}List",
        "plural": plural,
        "singular": kind.lower(),
        "shortNames": [short],
        "categories": ["paddock"],
    }


def _crd(
    *, names: Schema, schema: Schema, columns: Sequence[Column], subresources: Schema
) -> Manifest:
    version: Schema = {
        "name": _VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "subresources": subresources,
        "additionalPrinterColumns": [_column(column) for column in columns],
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{_GROUP}"},
        "spec": {"group": _GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _column(column: Column) -> Schema:
    shown: Schema = {"name": column.name, "type": column.type, "jsonPath": column.json_path}
    return {**shown, "priority": column.priority} if column.priority else shown


def _object_schema(spec: Schema, status: Schema) -> Schema:
    return {
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": {**status, "default": {"observedGeneration": UNSEEN}},
        },
    }


def _with_rules(spec: Schema, rules: Sequence[Rule]) -> Schema:
    for rule in rules:
        spec = _with_rule(spec, tuple(filter(None, rule.path.split("."))), rule)
    return spec


def _with_rule(node: Schema, path: tuple[str, ...], rule: Rule) -> Schema:
    if not path:
        before = node.get("x-kubernetes-validations", [])
        added: list[Json] = [*before] if isinstance(before, list) else []
        added.append({"rule": rule.rule, "message": rule.message})
        return {**node, "x-kubernetes-validations": added}
    properties = node["properties"]
    if not isinstance(properties, Mapping):
        raise TypeError(f"{rule.path}: no such field")
    child = properties[path[0]]
    if not isinstance(child, dict):
        raise TypeError(f"{rule.path}: no such field")
    return {**node, "properties": {**properties, path[0]: _with_rule(child, path[1:], rule)}}


_GROUP, _VERSION = names.GROUP, names.VERSION
