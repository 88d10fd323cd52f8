"""The few requests the activator makes of the apiserver, as its own account.

I/O: decides nothing. The token is read anew for each request, because it is replaced while we run.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import aiohttp

from paddock import names
from paddock.activator.targets import Target
from paddock.api.inferencepool import InferencePool
from paddock.errors import ApiError, ConflictError, ForbiddenError, GoneError, NotFoundError
from paddock.wire import Json, Manifest

_SECONDS = aiohttp.ClientTimeout(total=10, sock_connect=5)
_WATCH_SECONDS = 240
_ERRORS = {403: ForbiddenError, 404: NotFoundError, 409: ConflictError, 410: GoneError}
_MERGE = "application/merge-patch+json"
_SLICES = "/apis/discovery.k8s.io/v1"


@dataclass(frozen=True, slots=True)
class Scale:
    """A Deployment's number of replicas, and the version it was read at."""

    replicas: int
    resource_version: str


class Apiserver:
    """Requests to one apiserver."""

    def __init__(self, session: aiohttp.ClientSession, server: str, token_file: Path) -> None:
        self._session, self._server, self._token_file = session, server, token_file

    async def pool(self, target: Target) -> InferencePool | None:
        """Return the pool, or None where there is none."""
        path = f"/apis/{names.API_VERSION}/namespaces/{target.namespace}/inferencepools"
        try:
            return InferencePool.model_validate(await self._get(f"{path}/{target.name}"))
        except NotFoundError:
            return None

    async def scale(self, target: Target) -> Scale | None:
        """Return the scale of the pool's Deployment, or None where there is no Deployment yet."""
        try:
            return _scale(await self._get(_scale_path(target)))
        except NotFoundError:
            return None

    async def set_scale(self, target: Target, replicas: int, resource_version: str) -> None:
        """Set the replicas of the Deployment of exactly this version."""
        patch = {
            "metadata": {"resourceVersion": resource_version},
            "spec": {"replicas": replicas},
        }
        query = urlencode({"fieldManager": names.ACTIVATOR})
        headers = {"Content-Type": _MERGE, **await self._authorization()}
        async with self._session.patch(
            f"{self._server}{_scale_path(target)}?{query}",
            data=json.dumps(patch), headers=headers, timeout=_SECONDS,
        ) as answer:  # fmt: skip
            await _object(answer)

    async def slices(self, namespace: str, service: str) -> Sequence[Manifest]:
        """Return the EndpointSlices of a Service."""
        return _items(await self._get(_slices_path(namespace, service)))

    async def watch_slices(self, namespace: str, service: str) -> AsyncIterator[Sequence[Manifest]]:
        """Yield the EndpointSlices of a Service now and after each change, until the watch ends."""
        path = _slices_path(namespace, service)
        listed = await self._get(path)
        known = {_name(each): each for each in _items(listed)}
        yield tuple(known.values())
        query = urlencode({"watch": "true", "resourceVersion": _version(listed),
                           "timeoutSeconds": str(_WATCH_SECONDS)})  # fmt: skip
        limits = aiohttp.ClientTimeout(total=_WATCH_SECONDS + 10, sock_connect=5)
        async with self._session.get(
            f"{self._server}{path}&{query}", headers=await self._authorization(), timeout=limits
        ) as answer:
            if answer.status >= 400:  # noqa: PLR2004 - HTTP's first error
                await _object(answer)
            async for line in answer.content:
                event = json.loads(line)
                if event["type"] == "ERROR":
                    return
                known.pop(_name(event["object"]), None)
                if event["type"] != "DELETED":
                    known[_name(event["object"])] = event["object"]
                yield tuple(known.values())

    async def _get(self, path: str) -> Manifest:
        headers = await self._authorization()
        async with self._session.get(
            f"{self._server}{path}", headers=headers, timeout=_SECONDS
        ) as answer:
            return await _object(answer)

    async def _authorization(self) -> dict[str, str]:
        token = await asyncio.to_thread(self._token_file.read_text)
        return {"Authorization": f"Bearer {token.strip()}", "Accept": "application/json"}


async def _object(answer: aiohttp.ClientResponse) -> Manifest:
    value: Json = await answer.json(content_type=None)
    if answer.status < 400 and isinstance(value, dict):  # noqa: PLR2004 - HTTP's first error
        return value
    said = value.get("message") if isinstance(value, dict) else None
    words = str(said or f"The apiserver answered {answer.status}.")
    raise _ERRORS.get(answer.status, ApiError)(answer.status, words)


def _scale_path(target: Target) -> str:
    return f"/apis/apps/v1/namespaces/{target.namespace}/deployments/{target.child}/scale"


def _slices_path(namespace: str, service: str) -> str:
    query = urlencode({"labelSelector": f"kubernetes.io/service-name={service}"})
    return f"{_SLICES}/namespaces/{namespace}/endpointslices?{query}"


def _scale(value: Manifest) -> Scale:
    spec = value.get("spec")
    replicas = spec.get("replicas") if isinstance(spec, dict) else None
    return Scale(replicas if isinstance(replicas, int) else 0, _version(value))


def _metadata(value: Manifest, key: str) -> str:
    metadata = value.get("metadata")
    return str(metadata.get(key, "")) if isinstance(metadata, dict) else ""


def _version(value: Manifest) -> str:
    return _metadata(value, "resourceVersion")


def _name(value: Manifest) -> str:
    return _metadata(value, "name")


def _items(value: Manifest) -> Sequence[Manifest]:
    found = value.get("items")
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else ()
