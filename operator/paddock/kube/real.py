"""The one real Cluster: plain JSON over the `kubernetes` client's transport and credentials.

I/O. Reads are retried a little; writes are not, the pass that made them is. Errors carry the
apiserver's own message.
"""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration
from kubernetes.aio.config import load_incluster_config, load_kube_config
from kubernetes.aio.config.config_exception import ConfigException

from paddock import names
from paddock.errors import (
    ApiError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    NotFoundError,
)
from paddock.facts import Kind
from paddock.kinds import BY_KIND
from paddock.kube.cluster import Propagation
from paddock.wire import Json, Manifest

PAGE = 500
_TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)
_READ_TRIES = 3
_READ_PAUSE = 0.5
_ERRORS = {403: ForbiddenError, 404: NotFoundError, 409: ConflictError, 410: GoneError,
           400: InvalidError, 422: InvalidError}  # fmt: skip
_RETRIED = frozenset({0, 429, 500, 502, 503, 504})
_APPLY = "application/apply-patch+yaml"
_JSON_PATCH = "application/json-patch+json"


class WriteGate(Protocol):
    """Stands before every write: waits for its turn, or refuses it."""

    async def __call__(self) -> None:
        """Return when the write may go; raise when it may not."""
        ...


class RealCluster:
    """Requests of one user to one apiserver; `requests` counts them by verb."""

    def __init__(self, client: ApiClient, gate: WriteGate | None = None) -> None:
        self._client = client
        self._gate = gate
        self.requests: Counter[str] = Counter()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return the live object, or None where there is none (404)."""
        try:
            return await self._read(_path(kind, namespace, name))
        except NotFoundError:
            return None

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[Manifest, ...]:
        """Return all objects, read in pages; a stale page starts the list over."""
        query = {"limit": str(PAGE), "labelSelector": label_selector,
                 "fieldSelector": field_selector}  # fmt: skip
        for _ in range(_READ_TRIES):
            try:
                return await self._pages(kind, namespace, query)
            except GoneError:
                continue
        raise GoneError(410, "The list went stale three times while it was read.")

    async def _pages(
        self, kind: Kind, namespace: str | None, query: Mapping[str, str]
    ) -> tuple[Manifest, ...]:
        found: list[Manifest] = []
        position = ""
        while True:
            sent = {key: value for key, value in query.items() if value}
            if position:
                sent["continue"] = position
            page = await self._read(f"{_path(kind, namespace)}?{urlencode(sent)}")
            items, metadata = page.get("items"), page.get("metadata")
            found.extend(
                {"apiVersion": kind.api_version, "kind": kind.kind, **item}
                for item in (items if isinstance(items, list) else ())
                if isinstance(item, dict)
            )
            following = metadata.get("continue") if isinstance(metadata, dict) else None
            if not isinstance(following, str) or not following:
                return tuple(found)
            position = following

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply the object as our field manager, forced; return the live object."""
        return await self._apply(manifest, "")

    async def apply_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Server-side apply the status subresource; uid and resourceVersion are preconditions."""
        del kind
        return await self._apply(manifest, "/status")

    async def _apply(self, manifest: Manifest, subresource: str) -> Manifest:
        kind = BY_KIND[str(manifest["kind"])]
        metadata = manifest["metadata"]
        if not isinstance(metadata, Mapping):
            raise TypeError("a manifest has metadata")
        path = _path(kind, str(metadata["namespace"]), str(metadata["name"]))
        query = urlencode({"fieldManager": names.FIELD_MANAGER, "force": "true"})
        return await self._write("PATCH", f"{path}{subresource}?{query}", manifest, _APPLY)

    async def delete(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str | None = None,
        propagation: Propagation = "Background",
    ) -> None:
        """Delete the object if it still has this uid (and version); absent counts as success."""
        preconditions: dict[str, Json] = {"uid": uid}
        if resource_version is not None:
            preconditions["resourceVersion"] = resource_version
        body: Manifest = {
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "preconditions": preconditions,
            "propagationPolicy": propagation,
        }
        try:
            await self._write("DELETE", _path(kind, namespace, name), body)
        except NotFoundError:
            return

    async def patch_finalizers(
        self, kind: Kind, manifest: Manifest, finalizers: tuple[str, ...]
    ) -> Manifest | None:
        """Replace the finalizers of exactly this uid and resourceVersion; None if it is gone."""
        metadata = manifest["metadata"]
        if not isinstance(metadata, Mapping):
            raise TypeError("a manifest has metadata")
        patch: list[Json] = [
            {"op": "test", "path": "/metadata/uid", "value": metadata["uid"]},
            {
                "op": "test",
                "path": "/metadata/resourceVersion",
                "value": metadata["resourceVersion"],
            },
            {"op": "add", "path": "/metadata/finalizers", "value": list(finalizers)},
        ]
        path = _path(kind, str(metadata["namespace"]), str(metadata["name"]))
        try:
            return await self._write("PATCH", path, patch, _JSON_PATCH)
        except NotFoundError:
            return None

    async def create(self, kind: Kind, namespace: str, body: Manifest) -> Manifest:
        """Create an object (Lease, Event)."""
        return await self._send("POST", _path(kind, namespace), body)

    async def replace(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """Replace an object whose body carries its resourceVersion (Lease)."""
        return await self._send("PUT", _path(kind, namespace, name), body)

    async def _read(self, path: str) -> Manifest:
        for attempt in range(_READ_TRIES):
            try:
                return await self._send("GET", path, None)
            except ApiError as error:
                if error.status not in _RETRIED or attempt == _READ_TRIES - 1:
                    raise
                await asyncio.sleep(error.retry_after or _READ_PAUSE * 2**attempt)
        raise AssertionError("the last try returns or raises")

    async def _write(
        self, method: str, path: str, body: Json, content_type: str = "application/json"
    ) -> Manifest:
        if self._gate is not None:
            await self._gate()
        return await self._send(method, path, body, content_type)

    async def _send(
        self, method: str, path: str, body: Json, content_type: str = "application/json"
    ) -> Manifest:
        self.requests[method] += 1
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        configuration = self._client.configuration
        bearer = (await configuration.auth_settings()).get("BearerToken")
        if bearer is not None:
            headers[bearer["key"]] = bearer["value"]
        try:
            answer = await self._client.rest_client.request(
                method,
                f"{configuration.host}{path}",
                headers=headers,
                body=body,
                _request_timeout=_TIMEOUT,
            )
            content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, ssl.SSLError) as error:
            words = f"The apiserver did not answer ({type(error).__name__})."
            raise ApiError(0, words) from error
        return _parsed(int(answer.status), answer.getheader("Retry-After", ""), content)


def _parsed(status: int, retry_after: str, content: bytes) -> Manifest:
    try:
        value: Json = json.loads(content)
    except ValueError:
        value = None
    if status < 400 and isinstance(value, dict):  # noqa: PLR2004 - HTTP's first error
        return value
    said = value.get("message") if isinstance(value, dict) else None
    message = said if isinstance(said, str) else f"The apiserver answered {status}."
    after = float(retry_after) if retry_after.isdigit() else None
    raise _ERRORS.get(status, ApiError)(status, message, retry_after=after)


def _path(kind: Kind, namespace: str | None, name: str = "") -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{kind.plural}" + (f"/{name}" if name else "")


async def connect(kubeconfig: str | None = None, *, gate: WriteGate | None = None) -> RealCluster:
    """Return the cluster this process is to work on: a kubeconfig, or the pod's own account."""
    configuration = Configuration()
    if kubeconfig is None:
        try:
            load_incluster_config(client_configuration=configuration)
        except ConfigException:
            await load_kube_config(client_configuration=configuration)
    else:
        await load_kube_config(config_file=kubeconfig, client_configuration=configuration)
    configuration.connection_pool_maxsize = 16
    return RealCluster(ApiClient(configuration), gate)
