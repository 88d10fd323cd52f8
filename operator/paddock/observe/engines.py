"""Engines asked over their own REST APIs: what they serve, from which bytes, and one token.

I/O: reads only, never raises for an engine that is not well. Routes and fields are those of
ollama 0.17.4, llama-server build 11669 and vLLM 0.11.0, all tried.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import httpx

from paddock.api.inferencepool import EngineName
from paddock.errors import EngineError
from paddock.facts import EngineReport, LoadedModel
from paddock.observe.asker import Asker
from paddock.observe.loaded import Loaded, observe_loaded
from paddock.raw import flag, items, text, texts
from paddock.wire import Json

_ONE = "1"
"""The shortest prompt: one token in every vocabulary."""


@dataclass(frozen=True, slots=True)
class ExpectedModel:
    """What a pod should serve; `digest` is that of the model's first file, if it has one file."""

    served_as: str
    digest: str | None
    generate: bool
    load_seconds: float = 60.0
    """How long its first token may take, reading the weights and all."""


@dataclass(frozen=True, slots=True)
class _Listed:
    """One model as the engine lists it; `error` is why it cannot be used."""

    digest: str | None = None
    loaded: bool = False
    error: str | None = None


@dataclass(frozen=True, slots=True)
class _Listing:
    """What the engine says of itself."""

    version: str | None = None
    models: Mapping[str, _Listed] = field(default_factory=dict)


async def probe_engine(
    client: httpx.AsyncClient,
    engine: EngineName,
    base_url: str,
    pod: str,
    expected: Sequence[ExpectedModel],
) -> EngineReport:
    """Return what one engine answers for the models it should serve."""
    asker = Asker(client, base_url)
    try:
        listing = await _LISTINGS[engine](asker, {model.served_as for model in expected})
    except EngineError as error:
        sentence = f"The engine does not answer its API: {error}."
        return EngineReport(pod=pod, answering=False, error=sentence)
    models = [await _proven(asker, engine, model, listing.models) for model in expected]
    is_ollama = engine is EngineName.OLLAMA
    loaded = await observe_loaded(client, engine, base_url) if is_ollama else None
    return EngineReport(
        pod=pod,
        answering=True,
        version=listing.version,
        models=tuple(_sized(model, (loaded or {}).get(model.served_as)) for model in models),
    )


def _sized(model: LoadedModel, loaded: Loaded | None) -> LoadedModel:
    """Add in which memory a model is, now that its token had it loaded; only Ollama tells."""
    if loaded is None:
        return model
    return replace(model, memory=loaded.memory, gpu_memory=loaded.gpu_memory)


async def _list_ollama(asker: Asker, wanted: set[str]) -> _Listing:
    """Read /api/version, /api/tags, what is loaded (/api/ps), and each blob (/api/show)."""
    version = text(await asker.get("/api/version"), "version")
    running = {_untagged(text(model, "name")) for model in items(await asker.get("/api/ps"),
                                                                 "models")}  # fmt: skip
    names = {_untagged(text(model, "name")) for model in items(await asker.get("/api/tags"),
                                                               "models")}  # fmt: skip
    models = {}
    for name in sorted(names & wanted):
        try:
            shown = await asker.post("/api/show", {"model": name})
            models[name] = _Listed(_digest_of_modelfile(shown), loaded=name in running)
        except EngineError as error:
            models[name] = _Listed(error=str(error))
    return _Listing(version, models)


def _untagged(name: str | None) -> str:
    return (name or "").removesuffix(":latest")


def _digest_of_modelfile(shown: Json) -> str | None:
    """Return the digest in the path of the first FROM line, which names the weights' blob."""
    lines = (text(shown, "modelfile") or "").splitlines()
    return _digest_in(next((line for line in lines if line.startswith("FROM ")), ""))


async def _list_llama_cpp(asker: Asker, wanted: set[str]) -> _Listing:
    """Read /v1/models; the blob is in the router's arguments, or in a plain server's /props."""
    del wanted
    props = await asker.get("/props")
    version, path = text(props, "build_info"), text(props, "model_path") or ""
    models = {}
    for model in items(await asker.get("/v1/models"), "data"):
        name = text(model, "id") or ""
        if "status" not in model:
            asleep = flag(props, "is_sleeping")
            models[name] = _Listed(_digest_in(path), loaded=not asleep)
            continue
        digest = _digest_in(" ".join(texts(model, "status", "args")))
        loaded = text(model, "status", "value") == "loaded"
        failed = "it failed to load" if flag(model, "status", "failed") and not loaded else None
        models[name] = _Listed(digest, loaded, failed)
    return _Listing(version, models)


async def _list_vllm(asker: Asker, wanted: set[str]) -> _Listing:
    """Read /version and /v1/models; `root` is the path the model was loaded from."""
    del wanted
    version = text(await asker.get("/version"), "version")
    models = {
        text(model, "id") or "": _Listed(_digest_in(text(model, "root") or ""), loaded=True)
        for model in items(await asker.get("/v1/models"), "data")
    }
    return _Listing(version, models)


_LISTINGS: Mapping[EngineName, Callable[[Asker, set[str]], Awaitable[_Listing]]] = {
    EngineName.OLLAMA: _list_ollama,
    EngineName.LLAMA_CPP: _list_llama_cpp,
    EngineName.VLLM: _list_vllm,
}


def _digest_in(path: str) -> str | None:
    """Return the digest that a blob's path names."""
    _, found, rest = path.partition("/blobs/sha256-")
    return f"sha256:{rest[:64]}" if found else None


async def _proven(
    asker: Asker, engine: EngineName, model: ExpectedModel, listed: Mapping[str, _Listed]
) -> LoadedModel:
    """Compare digests, then have the model generate one token."""
    name, found = model.served_as, listed.get(model.served_as)
    if found is None:
        return LoadedModel(name, error=f"The engine does not list {name}.")
    if model.digest is not None and found.digest not in (None, model.digest):
        sentence = f"{name} is served from {found.digest}, not {model.digest}."
        return LoadedModel(name, found.digest, found.loaded, error=sentence)
    if not model.generate:
        problem = f"{name} cannot be used: {found.error}." if found.error else None
        return LoadedModel(name, found.digest, found.loaded, generated=False, error=problem)
    started = asyncio.get_running_loop().time()
    try:
        await _generate(asker, engine, model)
    except EngineError as error:
        sentence = f"{name} did not generate a token: {found.error or error}."
        return LoadedModel(name, found.digest, found.loaded, None, sentence)
    took = asyncio.get_running_loop().time() - started
    seconds = None if found.loaded else took
    return LoadedModel(name, found.digest, loaded=True, generated=True, load_seconds=seconds)


async def _generate(asker: Asker, engine: EngineName, model: ExpectedModel) -> None:
    """Have the model generate one token, or embed one where it only embeds.

    An engine stops loading when its client goes, so the answer gets all the time it may need.
    """
    try:
        if engine is EngineName.OLLAMA:
            await _generate_by_ollama(asker, model)
        else:
            await _generate_by_openai(asker, model)
    except EngineError as error:
        if not await _embeds(asker, model):
            raise error from None


async def _generate_by_ollama(asker: Asker, model: ExpectedModel) -> None:
    body: dict[str, Json] = {
        "model": model.served_as, "prompt": _ONE, "stream": False, "raw": True,
        "options": {"num_predict": 1},
    }  # fmt: skip
    if not flag(await asker.post("/api/generate", body, seconds=model.load_seconds), "done"):
        raise EngineError("its answer holds no token")


async def _generate_by_openai(asker: Asker, model: ExpectedModel) -> None:
    body: dict[str, Json] = {"model": model.served_as, "prompt": _ONE, "max_tokens": 1}
    answer = await asker.post("/v1/completions", body, seconds=model.load_seconds)
    if not list(items(answer, "choices")):
        raise EngineError("its answer holds no token")


async def _embeds(asker: Asker, model: ExpectedModel) -> bool:
    """Tell whether the model answers with an embedding; the OpenAI route is in every engine."""
    body: dict[str, Json] = {"model": model.served_as, "input": _ONE}
    try:
        answer = await asker.post("/v1/embeddings", body, seconds=model.load_seconds)
    except EngineError:
        return False
    return bool(list(items(answer, "data")))
