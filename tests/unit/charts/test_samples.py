"""Samples without a cluster: one story per file, told in its first lines, that our plan accepts."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.source import parse_source
from paddock.facts import PoolFacts
from paddock.plan.pool import plan_pool
from paddock.settings import Settings
from support.charts import ROOT, documents
from support.objects import NOW, metadata, ready_status

SAMPLES = sorted((ROOT / "manifests" / "samples").glob("*.yaml"))
STORIES = {"one-model-llama-cpp", "one-model-ollama", "two-engines-one-claim", "gpu-pool",
           "private-hub-model", "existing-claim", "many-small-models"}  # fmt: skip


def parsed(document: dict[str, Any], **status: Any) -> dict[str, Any]:
    return {**document, "metadata": metadata(document["metadata"]["name"]), **status}


def test_every_story_has_its_sample() -> None:
    assert {file.stem for file in SAMPLES} == STORIES


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_sample_tells_its_story_first_and_names_no_namespace(file: Path) -> None:
    text = file.read_text()
    assert text.startswith("# ")
    assert all("namespace" not in each["metadata"] for each in yaml.safe_load_all(text))


@pytest.mark.parametrize("file", SAMPLES, ids=lambda file: file.stem)
def test_pool_of_a_sample_is_accepted_and_over_its_own_models(file: Path) -> None:
    whole = documents(file.read_text())
    models = {}
    for document in whole:
        if document["kind"] == names.LOCAL_MODEL:
            source = document["spec"]["source"]
            assert parse_source(source)
            model = LocalModel.model_validate(parsed(document, status=ready_status(source)))
            models[model.metadata.name] = model
    pools = [each for each in whole if each["kind"] == names.INFERENCE_POOL]
    assert pools
    for document in pools:
        pool = InferencePool.model_validate(parsed(document))
        plan = plan_pool(PoolFacts(pool=pool, now=NOW, models=models), Settings())
        assert (plan.refused, plan.missing) == ((), ())
        assert plan.wanted
