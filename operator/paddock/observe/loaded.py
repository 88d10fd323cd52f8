"""Which models an engine has loaded now, and in how much memory: one cheap request, reads only.

I/O: never raises for an engine that is not well. Ollama has no metrics of its own; llama.cpp's and
vLLM's do not say which models are loaded.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from paddock.api.inferencepool import EngineName
from paddock.errors import EngineError
from paddock.observe.asker import Asker
from paddock.raw import items, number, text


@dataclass(frozen=True, slots=True)
class Loaded:
    """One loaded model; None where the engine does not say."""

    memory: int | None = None
    gpu_memory: int | None = None


async def observe_loaded(
    client: httpx.AsyncClient, engine: EngineName, base_url: str
) -> Mapping[str, Loaded] | None:
    """Return the loaded models by served name, or None where the engine does not answer."""
    asker = Asker(client, base_url)
    try:
        if engine is EngineName.OLLAMA:
            return {
                (text(each, "name") or "").removesuffix(":latest"): Loaded(
                    number(each, "size"), number(each, "size_vram")
                )
                for each in items(await asker.get("/api/ps"), "models")
            }
        return {
            text(each, "id") or "": Loaded()
            for each in items(await asker.get("/v1/models"), "data")
            if "status" not in each or text(each, "status", "value") == "loaded"
        }
    except EngineError:
        return None
