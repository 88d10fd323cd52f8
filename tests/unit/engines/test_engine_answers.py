"""Answers that no engine here gives: vLLM's as it was recorded, and what is broken or hostile."""

import httpx
import pytest

from paddock.api.inferencepool import EngineName
from paddock.facts import EngineReport, LoadedModel
from paddock.observe.engines import ExpectedModel, probe_engine
from paddock.wire import Json
from support.pools import DIGEST
from support.recorded_vllm import answer as recorded
from support.told_engine import Answer, Routes, engine

BLOB = f"/store/blobs/{DIGEST.replace(':', '-')}"
TOKEN = recorded("token")
PATIENCE = 60.0
"""No answer here is late; a busy machine may take its time all the same."""
EVERY_ROUTE = (
    "/version", "/v1/models", "/props", "/api/version", "/api/tags", "/api/ps", "/api/show",
)  # fmt: skip


async def probed(name: EngineName, routes: Routes, *, digest: str | None = DIGEST) -> EngineReport:
    expected = ExpectedModel("alpha", digest, generate=True, load_seconds=PATIENCE)
    with engine(routes) as url:
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            return await probe_engine(client, name, url, "pod-a", (expected,))


def vllm(root: str, *, generate: Answer = TOKEN) -> Routes:
    """Return what vLLM answers where it was started from this path."""
    status, listed = recorded("models")
    (model,) = listed["data"]
    return {
        "/version": recorded("version"),
        "/v1/models": (status, {**listed, "data": [{**model, "root": root}]}),
        "/v1/completions": generate,
        "/v1/embeddings": recorded("no embeddings"),
    }


async def test_ollama_tells_in_which_memory_a_model_is() -> None:
    listed: Json = {"models": [{"name": "alpha:latest", "size": 900, "size_vram": 600}]}
    modelfile: Json = {"modelfile": f"# said\nFROM {BLOB}\n"}
    report = await probed(
        EngineName.OLLAMA,
        {
            "/api/version": (200, {"version": "0.17.4"}),
            "/api/tags": (200, listed),
            "/api/ps": (200, listed),
            "/api/show": (200, modelfile),
            "/api/generate": (200, {"done": True}),
        },
    )

    proven = LoadedModel("alpha", DIGEST, loaded=True, generated=True, memory=900, gpu_memory=600)
    assert report == EngineReport("pod-a", answering=True, version="0.17.4", models=(proven,))


async def test_vllm_with_one_file_is_proven_by_its_digest() -> None:
    report = await probed(EngineName.VLLM, vllm(BLOB))

    proven = LoadedModel("alpha", DIGEST, loaded=True, generated=True)
    assert report == EngineReport("pod-a", answering=True, version="0.11.0.post2", models=(proven,))


async def test_vllm_with_a_folder_is_proven_by_its_token() -> None:
    report = await probed(EngineName.VLLM, vllm("/store/models/alpha"), digest=None)

    assert report.models == (LoadedModel("alpha", None, loaded=True, generated=True),)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((500, {"error": {"message": "CUDA out of memory.", "code": 500}}), "CUDA out of memory"),
        ((500, {"error": "model requires more memory (5.6 GiB) than is there (3 GiB)"}),
         "model requires more memory than is there"),
        ((400, {"object": "error", "message": "bad\n request"}), "bad request"),
        ((503, b"<html>busy</html>"), "it answered HTTP 503"),
        ((500, {"error": {"message": "x" * 5000}}), "x" * 200),
        ((500, {"error": [1]}), "it answered HTTP 500"),
        ((200, b"not json"), "its answer is not JSON"),
        ((200, []), "its answer holds no token"),
        ((200, {"choices": []}), "its answer holds no token"),
    ],
)  # fmt: skip
async def test_failed_token_is_told_in_the_engines_words_without_sizes(
    answer: Answer, words: str
) -> None:
    (model,) = (await probed(EngineName.VLLM, vllm(BLOB, generate=answer))).models

    assert model.error == f"alpha did not generate a token: {words}."
    assert model.generated is None


async def test_error_that_vllm_says_with_success_is_told_in_its_words() -> None:
    status, said = recorded("no embeddings")
    (model,) = (await probed(EngineName.VLLM, vllm(BLOB, generate=(status, said)))).models

    assert status == 200
    assert model.error == (
        "alpha did not generate a token: The model does not support Embeddings API."
    )


async def test_model_that_only_embeds_is_proven_by_an_embedding() -> None:
    routes = {
        **vllm(BLOB, generate=(400, {"message": "The model does not support Completions API"})),
        "/v1/embeddings": (200, {"data": [{"embedding": [0.1]}]}),
    }
    (model,) = (await probed(EngineName.VLLM, routes)).models

    assert model == LoadedModel("alpha", DIGEST, loaded=True, generated=True)


NONSENSE = [
    b"", b"[]", b"null", b"5", b'"x"', b"{}", b'{"models": 5}',
    b'{"data": [1, {"id": 5}], "models": [null, {"name": []}]}',
]  # fmt: skip


@pytest.mark.parametrize("name", EngineName)
@pytest.mark.parametrize("body", NONSENSE)
async def test_engine_that_answers_nonsense_never_raises(name: EngineName, body: bytes) -> None:
    routes = dict.fromkeys(EVERY_ROUTE, (200, body))
    report = await probed(name, routes)

    assert report.error is not None or report.models[0].error == "The engine does not list alpha."


@pytest.mark.parametrize("name", EngineName)
async def test_other_program_on_the_port_is_no_engine(name: EngineName) -> None:
    report = await probed(name, {})

    assert report.error == "The engine does not answer its API: it answered HTTP 404."
