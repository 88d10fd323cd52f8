"""Weights without a template: both engines make the same prompt of a chat, in every family."""

import json
from pathlib import Path

import httpx
import pytest

from paddock import names
from paddock.api.chat_templates import FAMILIES, ChatTemplate
from paddock.api.inferencepool import EngineName
from paddock.api.localmodel import LocalModel
from paddock.plan.engines.profile import PooledModel
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway.catalog import served_by
from paddock.plan.gateway.listing import ollama_details
from paddock.puller.store import Store
from paddock.wire import Json
from support.engine_servers import serving
from support.shown import check_shown
from support.stores import add_tiny_model, pool_of

pytestmark = pytest.mark.contract
CHAT: list[Json] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Who?"},
    {"role": "assistant", "content": "Me."},
    {"role": "user", "content": "Why?"},
]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    tmp_path.chmod(0o755)
    (tmp_path / "store").mkdir()
    return Store(tmp_path / "store")


def pooled_as(name: str, model: LocalModel) -> PooledModel:
    return PooledModel(name, model, names.STORE_PATH, preload=True, context_length=None)


async def answer(url: str, body: Json) -> dict[str, Json]:
    async with httpx.AsyncClient(timeout=60) as client:
        whole: dict[str, Json] = (await client.post(url, json=body)).json()
        return whole


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
async def test_family_renders_in_ollama_what_llama_cpp_renders(
    store: Store, tmp_path: Path, family: ChatTemplate
) -> None:
    model = add_tiny_model(store, "a", seed=1, markers=family.markers)
    mounts = {names.STORE_PATH: tmp_path / "store"}
    pooled = (pooled_as("a", model),)
    ollama, llama = PROFILES[EngineName.OLLAMA], PROFILES[EngineName.LLAMA_CPP]
    run = ollama.run(pool_of(EngineName.OLLAMA, "a"), pooled)
    with serving(ollama, run, tmp_path / "ollama", mounts) as served:
        body: Json = {"model": "a", "messages": CHAT, "_debug_render_only": True, "stream": False}
        debug = (await answer(f"{served.url}/api/chat", body))["_debug_info"]
        shown = await answer(f"{served.url}/api/show", {"model": "a"})
    run = llama.run(pool_of(EngineName.LLAMA_CPP, "a"), pooled)
    with serving(llama, run, tmp_path / "llama", mounts) as served:
        prompt = (await answer(f"{served.url}/apply-template", {"messages": CHAT}))["prompt"]

    assert isinstance(debug, dict)
    assert debug["rendered_template"] == prompt
    assert all(word in str(shown["parameters"]) for word in family.stop)
    (listed,) = served_by([pool_of(EngineName.OLLAMA, "a")], {"a": model})
    check_shown(json.loads(ollama_details(listed)), shown)
    assert "template" in json.loads(ollama_details(listed))


async def test_router_tells_each_model_the_template_of_its_own_family(
    store: Store, tmp_path: Path
) -> None:
    families = {"a": "<start_of_turn>user\nBe brief.\n\nWho?", "b": "[INST] Be brief.\n\nWho?"}
    markers = {"a": ("<start_of_turn>",), "b": ("[INST]",)}
    models = [
        pooled_as(name, add_tiny_model(store, name, seed=1, markers=markers[name]))
        for name in families
    ]
    llama = PROFILES[EngineName.LLAMA_CPP]
    run = llama.run(pool_of(EngineName.LLAMA_CPP, *families), tuple(models))
    with serving(llama, run, tmp_path / "llama", {names.STORE_PATH: tmp_path / "store"}) as served:
        bodies: dict[str, Json] = {name: {"model": name, "messages": CHAT} for name in families}
        told = {
            name: await answer(f"{served.url}/apply-template", body)
            for name, body in bodies.items()
        }

    assert {name: str(each["prompt"])[: len(families[name])] for name, each in told.items()} == (
        families
    )
