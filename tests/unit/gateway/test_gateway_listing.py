"""What Ollama's clients are told of a model: what is known of it, and nothing else."""

import json
from typing import Any

import pytest

from paddock.api.inferencepool import EngineName, InferencePool, ServedModel
from paddock.plan.gateway.catalog import Served, served_by
from paddock.plan.gateway.listing import ollama_details, ollama_running
from paddock.wire import Json
from support.pools import DIGEST
from support.stores import pool_of, ready_model

OLLAMA, LLAMA_CPP = EngineName.OLLAMA, EngineName.LLAMA_CPP
UNKNOWN = {"template", "system", "parameters", "modelfile"}


def served(engine: EngineName, modelfile: Json = None, **artifact: Json) -> Served:
    model = ready_model("alpha", DIGEST, **artifact)
    whole = model.model_dump(by_alias=True, exclude_none=True)
    whole["spec"] |= {"modelfile": modelfile} if modelfile else {}
    (found,) = served_by([pool_of(engine, "alpha")], {"alpha": type(model).model_validate(whole)})
    return found


def shown(engine: EngineName, modelfile: Json = None, **artifact: Json) -> Any:
    return json.loads(ollama_details(served(engine, modelfile, **artifact)))


@pytest.mark.parametrize("engine", [OLLAMA, LLAMA_CPP])
def test_what_nobody_declared_is_left_out(engine: EngineName) -> None:
    told = shown(engine)

    assert not UNKNOWN & told.keys()
    assert (told["model_info"], told["capabilities"]) == ({}, ["completion"])


def test_modelfile_is_shown_as_ollama_writes_it() -> None:
    parameters: Json = {"temperature": 0.7, "numCtx": 16384, "topK": 40, "stop": ["</s>", '"a"']}
    told = shown(
        OLLAMA, {"system": "Be brief.", "template": "{{ .Prompt }}", "parameters": parameters}
    )

    assert (told["system"], told["template"]) == ("Be brief.", "{{ .Prompt }}")
    assert told["parameters"].splitlines() == [
        "num_ctx                        16384",
        'stop                           "</s>"',
        'stop                           "\\"a\\""',
        "temperature                    0.7",
        "top_k                          40",
    ]


def test_template_that_the_pull_wrote_is_shown_where_ollama_reads_it() -> None:
    gemma = {"chatTemplate": "gemma", "architecture": "gemma3"}

    assert "<start_of_turn>model" in shown(OLLAMA, **gemma)["template"]
    assert shown(OLLAMA, **gemma)["parameters"].split() == ["stop", '"<end_of_turn>"']
    assert shown(OLLAMA, {"template": "{{ .Prompt }}"}, **gemma)["template"] == "{{ .Prompt }}"
    assert not UNKNOWN & shown(LLAMA_CPP, **gemma).keys()


def test_text_that_would_fill_the_gateways_files_is_left_out() -> None:
    assert "system" not in shown(OLLAMA, {"system": "x" * 8193})
    assert "system" in shown(OLLAMA, {"system": "x" * 8192})


@pytest.mark.parametrize("architecture", ["bert", "nomic-bert", "gemma-embedding"])
def test_model_that_only_embeds_says_so(architecture: str) -> None:
    assert shown(OLLAMA, architecture=architecture)["capabilities"] == ["embedding"]


@pytest.mark.parametrize(
    ("engine", "spec", "known"),
    [
        (OLLAMA, {}, set()),
        (LLAMA_CPP, {}, {"expires_at"}),
        (LLAMA_CPP, {"scaling": {"idle": {"unloadAfter": "5m"}}}, set()),
    ],
)
def test_memory_of_what_is_loaded_is_not_made_up(
    engine: EngineName, spec: dict[str, Json], known: set[str]
) -> None:
    loaded = ServedModel(name="alpha", served_as="alpha", state="Loaded", loaded_on=("a",))
    (told,) = json.loads(
        ollama_running(
            served_by(
                [with_models(pool_of(engine, "alpha", **spec), loaded)],
                {"alpha": ready_model("alpha", DIGEST)},
            )
        )
    )["models"]

    assert told.keys() & {"size_vram", "expires_at"} == known
    assert told["name"] == "alpha:latest"


def with_models(pool: InferencePool, *models: ServedModel) -> InferencePool:
    return pool.model_copy(update={"status": pool.status.model_copy(update={"models": models})})
