"""A mirror stands in for the host of the engines' default images, and for nothing a user names."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from paddock.api.inferencepool import EngineName
from paddock.facts import Apply
from paddock.plan.gateway.plan import plan_gateway, render_gateway
from paddock.plan.model import plan_model
from paddock.plan.pool import plan_pool
from paddock.settings import ENVOY_VERSION
from support.gateways import CPP, gateway_facts
from support.models import facts_of
from support.objects import model
from support.pools import DIGEST, OTHER_DIGEST, SETTINGS, fresh
from support.stores import ready_model

MIRROR = "registry.example.com:5000/mirror"
OPERATOR = f"{MIRROR}/paddock-dev/paddock:1"
"""As the chart says it: a contract test looks there."""
MIRRORED = replace(SETTINGS, images=replace(SETTINGS.images, registry=MIRROR, operator=OPERATOR))
TELEMETRY = {"collector": "Managed", "otlp": {"endpoint": "https://otel.example.com"}}


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


def images_in(value: Any) -> Iterator[str]:
    """Return every image that a manifest names, of init containers too."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str):
            yield value["image"]
        for each in value.values():
            yield from images_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from images_in(each)


def test_no_pod_we_make_needs_another_registry_than_the_mirror() -> None:
    two = (
        ready_model("alpha", DIGEST, claim="one"),
        ready_model("beta", OTHER_DIGEST, claim="two"),
    )
    gateway = gateway_facts(CPP)
    made = {
        "pools": [
            *plan_pool(fresh(EngineName.OLLAMA, known=two), MIRRORED).wanted,
            *plan_pool(fresh(EngineName.LLAMA_CPP, telemetry=TELEMETRY), MIRRORED).wanted,
            *plan_pool(fresh(EngineName.VLLM, telemetry=TELEMETRY), MIRRORED).wanted,
        ],
        "gateway": plan_gateway(gateway, render_gateway(gateway, MIRRORED), MIRRORED).wanted,
        "pull": [
            change.manifest
            for change in plan_model(facts_of(model()), MIRRORED).changes
            if isinstance(change, Apply)
        ],
    }
    found = {part: set(images_in(list(manifests))) for part, manifests in made.items()}
    assert {part: len(images) for part, images in found.items()} == {
        "pools": 5,  # three engines, the view, the Collector
        "gateway": 1,
        "pull": 1,
    }
    every = set().union(*found.values())
    assert {image for image in every if not image.startswith(f"{MIRROR}/")} == set()
    assert found["gateway"] == {f"{MIRROR}/envoyproxy/envoy:distroless-v{ENVOY_VERSION}"}
