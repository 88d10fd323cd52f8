"""Requests to an engine's OpenAI-compatible API: one streamed answer at a time. I/O.

The prompt travels in the request's body only: never in an argument, a log line or an error.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import click
import httpx

from paddock import kinds, names
from paddock.api.inferencepool import InferencePool
from paddock.cli.access import Session
from paddock.cli.exits import CommandError, MissingError, NotReadyError
from paddock.cli.stream import Piece, error_of, piece_of
from paddock.facts import PodFact
from paddock.kube.tunnel import open_tunnel
from paddock.observe.objects import pod_fact
from paddock.plan.deployment import COMPONENT
from paddock.wire import Json

_CONNECT_SECONDS, _ANSWER_SECONDS = 10.0, 600.0
_FIRST_ERROR = 400


@dataclass(frozen=True, slots=True)
class Place:
    """Where to talk to, and the model to ask for."""

    url: str
    """Without /v1."""
    model: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    content: str


def is_url(pool: str) -> bool:
    """Tell a base URL from the name of a pool."""
    return pool.startswith(("http://", "https://"))


@asynccontextmanager
async def reach(session: Session, pool: str, model: str | None) -> AsyncIterator[Place]:
    """Give the place of a pool: one of its ready pods, through the apiserver."""
    found = await session.user.cluster.get(kinds.INFERENCE_POOLS, session.namespace, pool)
    if found is None:
        raise MissingError(f"There is no InferencePool {pool} in namespace {session.namespace}.")
    parsed = InferencePool.model_validate(found)
    asked = model or model_of(parsed)
    pods = await engine_pods(session, pool)
    pod = next((each for each in pods if each.ready and not each.deleting), None)
    if pod is None:
        raise NotReadyError(absence_of(parsed))
    async with open_tunnel(
        session.user.configuration, session.namespace, pod.name, names.ENGINE_PORT
    ) as url:
        yield Place(url, asked)


async def engine_pods(session: Session, pool: str) -> Sequence[PodFact]:
    """Return the pods of a pool's engines, by name."""
    labels = f"{names.POOL_LABEL}={names.fitted_name(pool)},{names.COMPONENT_LABEL}={COMPONENT}"
    pods = await session.user.cluster.list(kinds.PODS, session.namespace, label_selector=labels)
    return sorted(map(pod_fact, pods), key=lambda pod: pod.name)


def absence_of(pool: InferencePool) -> str:
    """Say why there is nobody to talk to."""
    name, scaling = pool.metadata.name, pool.status.scaling
    if scaling is not None and scaling.desired == 0:
        return f"{name} sleeps at zero replicas; a request to its endpoint wakes it."
    return f"No replica of {name} is ready; `paddock explain pool/{name}` says why."


def model_of(pool: InferencePool) -> str:
    """Return the name under which a pool serves its first model."""
    return pool.spec.models[0].served_as


def place_at(url: str, model: str | None) -> Place:
    """Return the place of a base URL, with or without /v1."""
    if model is None:
        raise click.UsageError("With a URL, say which model: --model NAME.")
    return Place(url.rstrip("/").removesuffix("/v1"), model)


def key_of(file: str | None) -> dict[str, str]:
    """Return the header of an API key that lies in a file."""
    return {} if file is None else {"Authorization": f"Bearer {Path(file).read_text().strip()}"}


def open_client(headers: dict[str, str]) -> httpx.AsyncClient:
    """Return a client for engines; proxies of the environment are not for them.

    Each request has a connection of its own: llama-server drops kept ones without a word.
    """
    timeout = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(headers=headers, timeout=timeout, limits=limits, trust_env=False)


async def ask(
    client: httpx.AsyncClient,
    place: Place,
    messages: Sequence[Message],
    *,
    max_tokens: int | None = None,
    temperature: float | None = None,
) -> AsyncIterator[Piece]:
    """Yield the pieces of one streamed answer; raise CommandError with the engine's words."""
    body: dict[str, Json] = {
        "model": place.model,
        "messages": [{"role": each.role, "content": each.content} for each in messages],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    body |= {"max_tokens": max_tokens} if max_tokens is not None else {}
    body |= {"temperature": temperature} if temperature is not None else {}
    url = f"{place.url}/v1/chat/completions"
    try:
        async with client.stream("POST", url, json=body) as answer:
            if answer.status_code >= _FIRST_ERROR:
                raise CommandError(_refusal(answer.status_code, await answer.aread()))
            async for line in answer.aiter_lines():
                piece = piece_of(line)
                if piece is None:
                    continue
                if piece.error is not None:
                    raise CommandError(f"The engine broke off: {piece.error}.")
                yield piece
    except httpx.HTTPError as error:
        raise CommandError(f"The engine did not answer ({type(error).__name__}).") from error


def _refusal(status: int, content: bytes) -> str:
    try:
        said = error_of(json.loads(content))
    except ValueError:
        said = None
    return f"The engine answers HTTP {status}{f': {said}' if said else ''}."
