"""No field of a spec does nothing: setting it changes what is made, or is refused by its path.

The knobs of `serving` have a table of their own (test_engine_knobs); what the gateway makes of its
fields is in the tests of the gateway, and so is telemetry.
"""

from collections.abc import Iterator
from typing import get_args

import pytest
from pydantic import BaseModel

from paddock.api.inferencepool import InferencePoolSpec
from paddock.api.localmodel import LocalModelSpec
from paddock.plan.model import plan_model
from paddock.plan.pool import plan_pool
from paddock.wire import Json
from support.models import facts_of
from support.objects import model
from support.pools import DIGEST, SETTINGS, fresh

TOLERATION: Json = [{"key": "gpu", "operator": "Exists", "tolerationSeconds": 5}]
POOL: dict[str, Json] = {
    "engine.name": "Ollama", "engine.image": "own:1",
    "engine.env": [{"name": "CUDA_VISIBLE_DEVICES", "value": "0"}], "engine.args": ["--jinja"],
    "models.name": "beta", "models.as": "other", "models.preload": False,
    "models.contextLength": 512,
    "replicas": 2, "scaling.min": 2, "scaling.max": 3, "scaling.targetInFlight": 7,
    "scaling.idle.unloadAfter": "5m", "scaling.idle.zeroAfter": "20m",
    "hardware.gpus": 1, "hardware.resourceName": "amd.com/gpu", "hardware.sharing": "MPS",
    "hardware.deviceClaim": "gpu", "hardware.gpuTypes": ["h200"], "hardware.memory": "9Gi",
    "hardware.cpu": "3", "hardware.nodeSelector": {"disk": "fast"},
    "hardware.tolerations": TOLERATION, "hardware.runtimeClassName": "nvidia",
    "hardware.priorityClassName": "high",
}  # fmt: skip
MODEL: dict[str, Json] = {
    "source": "https://models.example.com/other.gguf", "quantization": "Q4_K_M", "digest": DIGEST,
    "credentials.secretName": "token", "storage.claimName": "shared", "storage.size": "9Gi",
    "storage.storageClassName": "fast", "storage.accessModes": ["ReadWriteMany"],
    "storage.retain": "Delete", "modelfile.system": "Be brief.",
    "modelfile.template": "{{ .Prompt }}", "modelfile.parameters": {"topK": 5},
    "pull.parallelism": 3, "pull.resources.cpu": "2", "pull.resources.memory": "3Gi",
    "pull.nodeSelector": {"disk": "fast"}, "pull.tolerations": TOLERATION,
    "pull.deadlineSeconds": 600,
}  # fmt: skip
ELSEWHERE = {"serving", "gateway", "telemetry", "updatePolicy"}
"""Shown by other tests; `updatePolicy` is about what comes after the pull: test_model_story."""
WHOLE = {"engine.env", "hardware.tolerations", "pull.tolerations", "modelfile.parameters"}
LEAST: dict[str, Json] = {"scaling.min": 0, "scaling.max": 2}
"""What a field needs beside it to mean anything."""


def paths(record: type[BaseModel], above: str = "") -> Iterator[str]:
    for info in record.model_fields.values():
        path = f"{above}{info.alias}"
        inner = None if path in WHOLE else record_in(info.annotation)
        if path in ELSEWHERE:
            continue
        yield from paths(inner, f"{path}.") if inner else (path,)


def record_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := record_in(each))), None)


def nested(values: dict[str, Json]) -> dict[str, Json]:
    """Return a spec from values by path; what is said of models is said of alpha."""
    spec: dict[str, Json] = {}
    for path, value in values.items():
        *above, last = path.split(".")
        place = spec
        for name in above:
            inner = place.setdefault(name, {})
            assert isinstance(inner, dict)
            place = inner
        place[last] = value
    if "models" in spec:
        inner = spec["models"]
        assert isinstance(inner, dict)
        spec["models"] = [{"name": "alpha", **inner}]
    return spec


def test_tables_name_every_field() -> None:
    assert set(paths(InferencePoolSpec)) == set(POOL)
    assert set(paths(LocalModelSpec)) == set(MODEL)


@pytest.mark.parametrize("path", [path for path in POOL if path != "engine.name"])
def test_field_of_a_pool_changes_what_is_made_or_is_refused(path: str) -> None:
    beside = (
        {"hardware.gpus": 1} if path.startswith("hardware.") and path != "hardware.gpus" else {}
    )
    beside |= LEAST if path.startswith("scaling.") else {}
    assert outcome({**beside, path: POOL[path]}) != outcome(beside)


def outcome(values: dict[str, Json]) -> object:
    plan = plan_pool(fresh(**nested(values)), SETTINGS)
    return plan.refused, plan.missing, plan.wanted, plan.scaling


@pytest.mark.parametrize("path", MODEL)
def test_field_of_a_model_changes_what_is_made(path: str) -> None:
    assert changes({path: MODEL[path]}) != changes({})


def changes(values: dict[str, Json]) -> object:
    return plan_model(facts_of(model(**nested(values))), SETTINGS).changes
