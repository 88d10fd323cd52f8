"""The index finds what the plan means: a model by its claim's name, a pool by its models'."""

from typing import Any

import pytest

from paddock.api.localmodel import LocalModel
from paddock.kinds import INFERENCE_POOLS, LOCAL_MODELS
from paddock.plan.model import claim_of
from paddock.routes import index_of
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
