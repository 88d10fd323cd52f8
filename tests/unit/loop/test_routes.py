"""The index finds what the plan means, and what changes wakes the passes that it concerns."""

from typing import Any

import pytest

from paddock.api.localmodel import LocalModel
from paddock.facts import Key
from paddock.kinds import CONFIG_MAPS, INFERENCE_POOLS, LOCAL_MODELS
from paddock.kube.cache import Cache
from paddock.plan.model import claim_of
from paddock.routes import index_of, keys_for
from support.objects import metadata

LONG = "m" * 60
MODELS: list[tuple[str, dict[str, Any]]] = [
    ("tiny", {"source": "https://models.example.com/a.gguf"}),
    (LONG, {"source": "hf://org/repo"}),
    ("tiny", {"source": "hf://org/repo", "storage": {"claimName": "shared"}}),
    ("tiny", {"source": "hf://org/repo", "storage": {"size": "1Gi"}}),
    ("tiny", {"source": "pvc://weights/folder/a.gguf"}),
]


@pytest.mark.parametrize(("name", "spec"), MODELS)
def test_model_is_found_by_the_claim_it_lives_in(name: str, spec: dict[str, Any]) -> None:
    manifest = {"metadata": metadata(name), "spec": spec}
    assert list(index_of(LOCAL_MODELS, manifest)) == [claim_of(LocalModel.model_validate(manifest))]


def test_pool_is_found_by_the_names_of_its_models() -> None:
    models = [{"name": "a"}, {"name": "b", "as": "c"}]
    manifest: Any = {"metadata": metadata("chat"), "spec": {"models": models}}
    assert list(index_of(INFERENCE_POOLS, manifest)) == ["a", "b"]


@pytest.mark.parametrize("component", ["gateway", "keys"])
def test_what_is_of_a_gateway_wakes_its_pass(component: str) -> None:
    labels = {"app.kubernetes.io/component": component, "app.kubernetes.io/managed-by": "paddock"}
    manifest: Any = {"metadata": {**metadata("paddock-keys"), "labels": labels}}
    found = keys_for(CONFIG_MAPS, manifest, Cache([CONFIG_MAPS]))
    assert list(found) == [Key("gateways", "team", "paddock-gateway")]


def test_model_wakes_the_gateway_that_serves_it_whoever_wrote_it_last() -> None:
    cache = Cache([INFERENCE_POOLS, LOCAL_MODELS], index_of)
    pool: Any = {"metadata": metadata("chat"), "spec": {"models": [{"name": "tiny"}]}}
    cache.put(INFERENCE_POOLS, pool)
    model: Any = {"metadata": metadata("tiny"), "spec": {"source": "hf://org/repo"}}
    found = set(keys_for(LOCAL_MODELS, model, cache, before=model))
    assert Key("gateways", "team", "paddock-gateway") in found
