"""What a pool's engines have to do, asked of each over its own API.

I/O: reads only. An engine that does not say in time is left out, which nobody takes for idle.
Numbers are those of llama-server build 11669, ollama 0.17.4 and vLLM 0.11.0, all tried.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeAlias

import httpx

from paddock import names
from paddock.api.inferencepool import EngineName
from paddock.clock import parse_rfc3339
from paddock.facts import PodDemand, PodFact
from paddock.observe.samples import total
from paddock.plan.gateway.bootstrap import LOAD_PATH
from paddock.raw import items, number, text

_SECONDS = 2.0
_HELD = ("loaded", "sleeping")
"""States in which the router's models answer /metrics as they are."""
_Ask: TypeAlias = Callable[[httpx.AsyncClient, str], Awaitable[PodDemand]]


async def observe_demand(
    client: httpx.AsyncClient, engine: EngineName, pods: Iterable[PodFact]
) -> Mapping[str, PodDemand]:
    """Return what every ready engine has to do, by pod uid."""
    ready = [pod for pod in pods if pod.ready and pod.ip and not pod.deleting]
    found = await asyncio.gather(
        *(ask_engine(client, engine, f"http://{pod.ip}:{names.ENGINE_PORT}") for pod in ready)
    )
    return {pod.uid: demand for pod, demand in zip(ready, found, strict=True) if demand}


async def ask_engine(
    client: httpx.AsyncClient, engine: EngineName, base_url: str
) -> PodDemand | None:
    """Return what one engine has to do, or None if it does not say."""
    try:
        async with asyncio.timeout(_SECONDS):
            return await _ASKED[engine](client, base_url)
    except (httpx.HTTPError, TimeoutError, ValueError):
        return None


async def _ask_llama_cpp(client: httpx.AsyncClient, base_url: str) -> PodDemand:
    """Read /metrics; behind a router, that of each loaded model: asking would load the others."""
    models = (await _got(client, f"{base_url}/v1/models")).json()
    listed = list(items(models, "data"))
    if not any("status" in model for model in listed):
        return _of_llama_cpp([(await _got(client, f"{base_url}/metrics")).text])
    loaded = [text(model, "id") or "" for model in listed
              if text(model, "status", "value") in _HELD]  # fmt: skip
    answers = [
        (await _got(client, f"{base_url}/metrics", params={"model": name})).text for name in loaded
    ]
    return _of_llama_cpp(answers)


def _of_llama_cpp(answers: Iterable[str]) -> PodDemand:
    pages = list(answers)
    running = sum(total(page, "llamacpp:requests_processing") for page in pages)
    queued = sum(total(page, "llamacpp:requests_deferred") for page in pages)
    worked = [
        f"{total(page, name):.0f}"
        for page in pages
        for name in ("llamacpp:n_decode_total", "llamacpp:prompt_tokens_total")
    ]
    return PodDemand(int(running + queued), ", ".join(worked))


async def _ask_vllm(client: httpx.AsyncClient, base_url: str) -> PodDemand:
    page = (await _got(client, f"{base_url}/metrics")).text
    running = total(page, "vllm:num_requests_running")
    queued = total(page, "vllm:num_requests_waiting")
    worked = total(page, "vllm:generation_tokens_total"), total(page, "vllm:prompt_tokens_total")
    return PodDemand(int(running + queued), " ".join(f"{each:.0f}" for each in worked))


async def _ask_ollama(client: httpx.AsyncClient, base_url: str) -> PodDemand:
    """Read /api/ps: it tells what is loaded and until when, not what runs.

    Nothing loaded is nothing running. Something loaded may be running or kept; only the gateway
    knows. The latest time at which a model will be unloaded moves with each request.
    """
    loaded = list(items((await _got(client, f"{base_url}/api/ps")).json(), "models"))
    latest = max((_seconds(text(each, "expires_at")) for each in loaded), default="")
    return PodDemand(None if loaded else 0, latest)


async def ask_gateways(
    client: httpx.AsyncClient, pool: str, base_urls: Iterable[str]
) -> PodDemand | None:
    """Return what the namespace's Envoys let pass to a pool, or None if one of them does not say.

    What the activator has in flight may be anybody's, so it counts for each pool.
    """
    answers = await asyncio.gather(*(_load_of(client, each) for each in base_urls))
    told = [each for each in answers if each is not None]
    if not told or len(told) < len(answers):
        return None
    own = f"cluster.pool/{pool}"
    active = (f"{own}.upstream_rq_active", f"cluster.{names.ACTIVATOR}.upstream_rq_active")
    in_flight = sum(load.get(name, 0) for load in told for name in active)
    passed = sum(load.get(f"{own}.upstream_rq_total", 0) for load in told)
    return PodDemand(in_flight, str(passed))


async def _load_of(client: httpx.AsyncClient, base_url: str) -> Mapping[str, int] | None:
    try:
        async with asyncio.timeout(_SECONDS):
            page = (await _got(client, f"{base_url}{LOAD_PATH}")).json()
    except (httpx.HTTPError, TimeoutError, ValueError):
        return None
    return {text(each, "name") or "": number(each, "value") for each in items(page, "stats")}


def _seconds(moment: str | None) -> str:
    return str(int(parse_rfc3339(moment).timestamp())) if moment else ""


async def _got(
    client: httpx.AsyncClient, url: str, params: Mapping[str, str] | None = None
) -> httpx.Response:
    return (await client.get(url, params=params)).raise_for_status()


_ASKED: Mapping[EngineName, _Ask] = {
    EngineName.OLLAMA: _ask_ollama,
    EngineName.LLAMA_CPP: _ask_llama_cpp,
    EngineName.VLLM: _ask_vllm,
}
