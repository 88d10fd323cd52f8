"""Engines asked over their own REST APIs: what they serve, from which bytes, and one token.

I/O: reads only, never raises for an engine that is not well. Routes and fields are those of
ollama 0.17.4, llama-server build 11669 and vLLM 0.11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import httpx

from paddock.api.inferencepool import EngineName
from paddock.facts import EngineReport, LoadedModel
from paddock.observe.raw import items, text, texts
from paddock.wire import Json


@dataclass(frozen=True, slots=True)
class ExpectedModel:
    """What a pod should serve; `digest` is that of the model's first file, if it has one file."""

    served_as: str
    digest: str | None
    generate: bool


async def probe_engine(
    client: httpx.AsyncClient,
    engine: EngineName,
    base_url: str,
    pod: str,
    expected: Sequence[ExpectedModel],
) -> EngineReport:
    """Return what one engine answers for the models it should serve."""
    asker = _Asker(client, base_url)
    try:
        known = await _KNOWN[engine](asker)
    except (httpx.HTTPError, ValueError) as error:
        words = f"The engine does not answer its API ({type(error).__name__})."
        return EngineReport(pod=pod, answering=False, error=words)
    models = [await _proven(asker, engine, model, known) for model in expected]
    return EngineReport(pod=pod, answering=True, models=tuple(models))


@dataclass(frozen=True, slots=True)
class _Known:
    """One model as the engine lists it."""

    digest: str | None
    loaded: bool


class _Asker:
    """Requests to one engine; answers are JSON objects or errors."""

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client, self._base = client, base_url

    async def get(self, path: str) -> Json:
        answer = await self._client.get(f"{self._base}{path}")
        answer.raise_for_status()
        value: Json = answer.json()
        return value

    async def post(self, path: str, body: Mapping[str, Json]) -> Json:
        answer = await self._client.post(f"{self._base}{path}", json=body)
        answer.raise_for_status()
        value: Json = answer.json()
        return value


async def _known_by_ollama(asker: _Asker) -> dict[str, _Known]:
    """List /api/tags, the blob each model is from (/api/show) and what is loaded (/api/ps)."""
    running = {text(model, "name") for model in items(await asker.get("/api/ps"), "models")}
    known = {}
    for model in items(await asker.get("/api/tags"), "models"):
        name = text(model, "name") or ""
        shown = await asker.post("/api/show", {"model": name})
        digest = _digest_in(_from_line(text(shown, "modelfile") or ""))
        known[name.removesuffix(":latest")] = _Known(digest, name in running)
    return known


def _from_line(modelfile: str) -> str:
    lines = (line for line in modelfile.splitlines() if line.startswith("FROM "))
    return next(lines, "")


async def _known_by_llama_cpp(asker: _Asker) -> dict[str, _Known]:
    """List /v1/models; the path is in the router's arguments, or in /props of a plain server."""
    listed = list(items(await asker.get("/v1/models"), "data"))
    routed = any("status" in model for model in listed)
    if routed:
        return {
            text(model, "id") or "": _Known(
                _digest_in(" ".join(texts(model, "status", "args"))),
                text(model, "status", "value") == "loaded",
            )
            for model in listed
        }
    path = text(await asker.get("/props"), "model_path") or ""
    return {text(model, "id") or "": _Known(_digest_in(path), loaded=True) for model in listed}


async def _known_by_vllm(asker: _Asker) -> dict[str, _Known]:
    """List /v1/models; `root` is the path the model was loaded from."""
    listed = items(await asker.get("/v1/models"), "data")
    return {
        text(model, "id") or "": _Known(_digest_in(text(model, "root") or ""), loaded=True)
        for model in listed
    }


_KNOWN = {
    EngineName.OLLAMA: _known_by_ollama,
    EngineName.LLAMA_CPP: _known_by_llama_cpp,
    EngineName.VLLM: _known_by_vllm,
}


def _digest_in(path: str) -> str | None:
    """Return the digest that a blob's path names."""
    _, found, rest = path.partition("/blobs/sha256-")
    return f"sha256:{rest[:64]}" if found else None


async def _proven(
    asker: _Asker, engine: EngineName, model: ExpectedModel, known: Mapping[str, _Known]
) -> LoadedModel:
    """Compare digests, then have the model generate one token."""
    found = known.get(model.served_as)
    if found is None:
        sentence = f"The engine does not list {model.served_as}."
        return LoadedModel(model.served_as, error=sentence)
    if model.digest is not None and found.digest not in (None, model.digest):
        sentence = f"{model.served_as} is served from {found.digest}, not {model.digest}."
        return LoadedModel(model.served_as, found.digest, found.loaded, error=sentence)
    if not model.generate:
        return LoadedModel(model.served_as, found.digest, found.loaded, generated=False)
    try:
        await _generate(asker, engine, model.served_as)
    except (httpx.HTTPError, ValueError) as error:
        sentence = f"{model.served_as} did not generate a token ({type(error).__name__})."
        return LoadedModel(model.served_as, found.digest, found.loaded, None, sentence)
    return LoadedModel(model.served_as, found.digest, loaded=True, generated=True)


async def _generate(asker: _Asker, engine: EngineName, model: str) -> None:
    """Ask for one token on the engine's completion route."""
    if engine is EngineName.OLLAMA:
        body: dict[str, Json] = {
            "model": model, "prompt": "1", "stream": False, "raw": True,
            "options": {"num_predict": 1},
        }  # fmt: skip
        answer = await asker.post("/api/generate", body)
        if text(answer, "done_reason") is None:
            raise ValueError("no answer")
        return
    answer = await asker.post("/v1/completions", {"model": model, "prompt": "1", "max_tokens": 1})
    if not list(items(answer, "choices")):
        raise ValueError("no answer")
