"""A mirror stands in for the host of the engines' default images, and for nothing a user names."""

from dataclasses import replace

import pytest

from paddock.api.inferencepool import EngineName
from paddock.plan.pool import plan_pool
from support.pools import SETTINGS, fresh

MIRROR = "registry.example.com:5000/mirror"
MIRRORED = replace(SETTINGS, images=replace(SETTINGS.images, registry=MIRROR))


@pytest.mark.parametrize(
    ("engine", "gpus", "image"),
    [
        (EngineName.OLLAMA, 0, f"{MIRROR}/ollama/ollama:"),
        (EngineName.LLAMA_CPP, 0, f"{MIRROR}/ggml-org/llama.cpp:server-b"),
        (EngineName.LLAMA_CPP, 1, f"{MIRROR}/ggml-org/llama.cpp:server-cuda-b"),
        (EngineName.VLLM, 1, f"{MIRROR}/vllm/vllm-openai:"),
    ],
)
def test_default_image_comes_from_the_mirror(engine: EngineName, gpus: int, image: str) -> None:
    plan = plan_pool(fresh(engine, hardware={"gpus": gpus}), MIRRORED)
    assert plan.effective is not None
    assert plan.effective.image.startswith(image)


def test_image_of_the_user_and_of_the_administrator_are_left_alone() -> None:
    asked = fresh(EngineName.OLLAMA, engine={"name": "Ollama", "image": "own.example.com/o:1"})
    chosen = replace(MIRRORED, images=replace(MIRRORED.images, ollama="other.example.com/o:2"))
    named, set_by_administrator = (
        plan_pool(asked, MIRRORED).effective,
        plan_pool(fresh(EngineName.OLLAMA), chosen).effective,
    )
    assert named is not None
    assert set_by_administrator is not None
    assert (named.image, set_by_administrator.image) == (
        "own.example.com/o:1",
        "other.example.com/o:2",
    )
