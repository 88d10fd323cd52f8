"""What `paddock run` makes of a source: names, engine, quantization, and both objects."""

import pytest

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.cli.wanted import (
    Wish,
    build_model,
    build_pool,
    engine_of,
    hint_of,
    name_of,
    quantization_of,
)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF", "qwen2-5-0-5b-instruct"),
        ("hf://Qwen/Qwen2.5-0.5B-GGUF/qwen2.5-0.5b-q4_k_m.gguf", "qwen2-5-0-5b-q4-k-m"),
        ("hf://meta-llama/Llama-3.1-8B@main", "llama-3-1-8b"),
        ("ollama://llama3.2", "llama3-2"),
        ("ollama://llama3.2:1b", "llama3-2-1b"),
        ("ollama://registry.example.com/team/phi:latest", "phi"),
        ("oci://registry.example.com/models/phi@sha256:" + "a" * 64, "phi"),
        ("https://models.example.com/a/b/Tiny.Q8_0.gguf", "tiny-q8-0"),
        ("s3://bucket/deep/er/model.safetensors", "model"),
        ("pvc://claim/folder/My_Model.gguf", "my-model"),
        ("https://models.example.com/_.gguf", "model"),
    ],
)
def test_model_is_named_after_its_source(source: str, name: str) -> None:
    assert name_of(source) == name


def test_long_names_are_cut_and_never_collide() -> None:
    first, second = (
        name_of(f"https://example.com/{'a-very-long-name-' * 6}{end}.gguf") for end in "xy"
    )
    assert first != second
    assert max(len(first), len(second)) <= 40


@pytest.mark.parametrize(
    ("source", "gpus", "engine"),
    [
        ("ollama://llama3.2", None, EngineName.OLLAMA),
        ("ollama://llama3.2", 1, EngineName.OLLAMA),
        ("hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF", 1, EngineName.LLAMA_CPP),
        ("hf://Qwen/Qwen2.5-7B-Instruct", 1, EngineName.VLLM),
        ("hf://Qwen/Qwen2.5-7B-Instruct", None, EngineName.LLAMA_CPP),
        ("https://example.com/m.gguf", 2, EngineName.LLAMA_CPP),
    ],
)
def test_engine_suits_the_source(source: str, gpus: int | None, engine: EngineName) -> None:
    assert engine_of(source, gpus) is engine


@pytest.mark.parametrize(
    ("source", "quantization"),
    [
        ("hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF", "Q4_K_M"),
        ("hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF/file.gguf", None),
        ("hf://Qwen/Qwen2.5-7B-Instruct", None),
        ("ollama://llama3.2", None),
    ],
)
def test_usual_quantization_is_asked_for_only_where_there_is_a_choice(
    source: str, quantization: str | None
) -> None:
    assert quantization_of(source) == quantization


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("llama3.2", "ollama://llama3.2"),
        ("llama3.2:1b", "ollama://llama3.2:1b"),
        ("Qwen/Qwen2.5", "hf://Qwen/Qwen2.5"),
        ("ftp://example.com/x", None),
        ("a b", None),
    ],
)
def test_source_without_a_scheme_gets_a_hint(typed: str, meant: str | None) -> None:
    assert hint_of(typed) == meant


def test_smallest_wish_sets_nothing_that_was_not_asked_for() -> None:
    wish = Wish("ollama://llama3.2", "llama")
    assert build_model(wish)["spec"] == {"source": "ollama://llama3.2"}
    assert build_pool(wish)["spec"] == {"engine": {"name": "Ollama"}, "models": [{"name": "llama"}]}


def test_full_wish_is_what_the_kinds_take() -> None:
    wish = Wish(
        source="hf://a/b", name="b", namespace="team", quantization="Q8_0", secret="hub",
        size="40Gi", engine=EngineName.VLLM, gpus=2, memory="32Gi", replicas=3, keys=True,
    )  # fmt: skip
    model, pool = build_model(wish), build_pool(wish)
    assert model["spec"] == {
        "source": "hf://a/b",
        "quantization": "Q8_0",
        "credentials": {"secretName": "hub"},
        "storage": {"size": "40Gi"},
    }
    assert pool["spec"] == {
        "engine": {"name": "VLLM"},
        "models": [{"name": "b"}],
        "replicas": 3,
        "hardware": {"gpus": 2, "memory": "32Gi"},
        "gateway": {"auth": {"apiKeys": "Accepted"}},
    }
    for kind, made in ((LocalModel, model), (InferencePool, pool)):
        metadata = {"name": "b", "namespace": "team"}
        assert made["metadata"] == metadata
        kind.model_validate({**made, "metadata": {**metadata, "uid": "u"}})
