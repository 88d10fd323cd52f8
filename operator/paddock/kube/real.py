"""The one real Cluster: plain JSON over the `kubernetes` client's transport and credentials.

I/O. Reads are retried a little; writes are not, the pass that made them is. Errors carry the
apiserver's own message.
"""

import asyncio
import json
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio.client import ApiClient, Configuration

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
from paddock.kinds import LEASES, kind_of
from paddock.kube.cluster import Propagation
from paddock.kube.credentials import (
    Credentials,
    authorization_of,
    credentials_of,
    load_credentials,
)
from paddock.kube.meter import Meter
from paddock.wire import Json, Manifest

PAGE = 500
_CONNECT_SECONDS, _TOTAL_SECONDS = 5.0, 30.0
_ACCEPTED = "application/json, application/jwk-set+json"
_READ_TRIES = 3
_READ_PAUSE, _LONGEST_PAUSE = 0.5, 10.0
_CONNECTIONS = 16
_UNAUTHORIZED = 401
_ERRORS = {403: ForbiddenError, 404: NotFoundError, 409: ConflictError, 410: GoneError,
           400: InvalidError, 422: InvalidError}  # fmt: skip
_RETRIED = frozenset({0, 429, 500, 502, 503, 504})
_APPLY = "application/apply-patch+yaml; charset=utf-8"
"""With its parameter the client sends our text as it is; the apiserver drops the parameter."""
_ESCAPED = re.compile(r"[^ -~]")
_LAST_OF_FOUR = 0xFFFF
_JSON_PATCH = "application/json-patch+json"


class WriteGate(Protocol):
    """Stands before every write: waits for its turn, or refuses it."""

    async def __call__(self) -> float:
        """Return the seconds within which the write must end; raise when it may not begin."""
        ...


class RealCluster:
    """Requests of one user to one apiserver; `meter` counts them.

    `reload` reads the credentials anew: a projected token is replaced while we run.
    """

    def __init__(
        self,
        client: ApiClient,
        *,
        gate: WriteGate | None = None,
        reload: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._client, self._gate, self._reload = client, gate, reload
        self.meter = Meter()

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def credentials(self) -> Credentials:
        """Return what another client of the same user needs, read anew."""
        if self._reload is not None:
            await self._reload()
        return await credentials_of(self._client.configuration)

    async def get(self, kind: Kind, namespace: str, name: str) -> Manifest | None:
        """Return the live object, or None where there is none (404)."""
        try:
            return await self._read(_path(kind, namespace, name))
        except NotFoundError:
            return None

    async def document(self, path: str) -> Manifest:
        """Return what the apiserver answers at a path that is no object's."""
        return await self._read(path)

    async def list(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
    ) -> tuple[Manifest, ...]:
        """Return all objects, read in pages; a stale page starts the list over."""
        for _ in range(_READ_TRIES):
            found: list[Manifest] = []
            try:
                async for page in self.pages(
                    kind, namespace, label_selector=label_selector, field_selector=field_selector
                ):
                    found += page
            except GoneError:
                continue
            return tuple(found)
        raise GoneError(410, "The list went stale three times while it was read.")

    async def pages(
        self,
        kind: Kind,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = PAGE,
    ) -> AsyncIterator[Sequence[Manifest]]:
        """Yield all objects page by page; raise GoneError where the list must start over."""
        query = {"limit": str(limit), "labelSelector": label_selector,
                 "fieldSelector": field_selector}  # fmt: skip
        sent = {key: value for key, value in query.items() if value}
        while True:
            page = await self._read(f"{_path(kind, namespace)}?{urlencode(sent)}")
            items, metadata = page.get("items"), page.get("metadata")
            yield [
                {"apiVersion": kind.api_version, "kind": kind.kind, **item}
                for item in (items if isinstance(items, list) else ())
                if isinstance(item, dict)
            ]
            following = metadata.get("continue") if isinstance(metadata, dict) else None
            if not isinstance(following, str) or not following:
                return
            sent["continue"] = following

    async def apply(self, manifest: Manifest) -> Manifest:
        """Server-side apply the object as our field manager, forced; return the live object."""
        return await self._apply(manifest, "")

    async def apply_status(self, kind: Kind, manifest: Manifest) -> Manifest:
        """Server-side apply the status subresource; uid and resourceVersion are preconditions."""
        del kind
        return await self._apply(manifest, "/status")

    async def _apply(self, manifest: Manifest, subresource: str) -> Manifest:
        kind = kind_of(manifest)
        metadata = manifest["metadata"]
        if not isinstance(metadata, Mapping):
            raise TypeError("a manifest has metadata")
        path = _path(kind, str(metadata["namespace"]), str(metadata["name"]))
        query = urlencode({"fieldManager": names.FIELD_MANAGER, "force": "true"})
        text = apply_text(manifest)
        return await self._write("PATCH", f"{path}{subresource}?{query}", text, _APPLY)

    async def scale(
        self, kind: Kind, namespace: str, name: str, *, replicas: int, resource_version: str
    ) -> None:
        """Apply the scale subresource of exactly this version, and own the number from then on."""
        metadata = {"name": name, "namespace": namespace, "resourceVersion": resource_version}
        body: Manifest = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": metadata,
            "spec": {"replicas": replicas},
        }
        query = urlencode({"fieldManager": names.SCALING_MANAGER, "force": "true"})
        path = f"{_path(kind, namespace, name)}/scale?{query}"
        await self._write("PATCH", path, apply_text(body), _APPLY)

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
        except InvalidError as error:  # how the apiserver words a failed test
            raise ConflictError(409, "The object changed before its finalizers did.") from error

    async def create(self, kind: Kind, namespace: str, body: Manifest) -> Manifest:
        """Create an object (Lease, Event)."""
        return await self._write("POST", _path(kind, namespace), body, ungated=kind == LEASES)

    async def replace(self, kind: Kind, namespace: str, name: str, body: Manifest) -> Manifest:
        """Replace an object whose body carries its resourceVersion (Lease)."""
        path = _path(kind, namespace, name)
        return await self._write("PUT", path, body, ungated=kind == LEASES)

    async def _read(self, path: str) -> Manifest:
        for attempt in range(_READ_TRIES):
            try:
                return await self._send("GET", path, None)
            except ApiError as error:
                if error.status not in _RETRIED or attempt == _READ_TRIES - 1:
                    raise
                pause = error.retry_after or _READ_PAUSE * 2**attempt * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
                if pause > _LONGEST_PAUSE:
                    raise
                await asyncio.sleep(pause)
        raise AssertionError("the last try returns or raises")

    async def _write(
        self,
        method: str,
        path: str,
        body: Json,
        content_type: str = "application/json",
        *,
        ungated: bool = False,
    ) -> Manifest:
        """Send a write once; the Lease's own writes pass by the gate that it holds open."""
        seconds = _TOTAL_SECONDS
        if self._gate is not None and not ungated:
            seconds = min(seconds, await self._gate())
        return await self._send(method, path, body, content_type, seconds)

    async def _send(
        self,
        method: str,
        path: str,
        body: Json,
        content_type: str = "application/json",
        seconds: float = _TOTAL_SECONDS,
    ) -> Manifest:
        """Send a request; one that is refused as unauthorised was not done, and is sent again.

        Both have the seconds of one: after them a write may be somebody else's to make.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        try:
            return await self._exchange(method, path, body, content_type, seconds)
        except ApiError as error:
            if error.status != _UNAUTHORIZED or self._reload is None:
                raise
        await self._reload()
        return await self._exchange(method, path, body, content_type, until - loop.time())

    async def _exchange(
        self, method: str, path: str, body: Json, content_type: str, seconds: float
    ) -> Manifest:
        if seconds <= 0:
            raise ApiError(0, "The request's time was over before it was sent.")
        self.meter.requests[method] += 1
        configuration = self._client.configuration
        headers = {"Content-Type": content_type, "Accept": _ACCEPTED}
        headers |= await authorization_of(configuration)
        limits = aiohttp.ClientTimeout(total=seconds, sock_connect=min(_CONNECT_SECONDS, seconds))
        try:
            answer = await self._client.rest_client.request(
                method,
                f"{configuration.host}{path}",
                headers=headers,
                body=body,
                _request_timeout=limits,
            )
            content = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.meter.answers[method, 0] += 1
            words = f"The apiserver did not answer ({type(error).__name__})."
            raise ApiError(0, words) from error
        self.meter.answers[method, int(answer.status)] += 1
        self.meter.received += len(content)
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
    status = status if status >= 400 else 502  # noqa: PLR2004 - a success that is no object
    raise _ERRORS.get(status, ApiError)(status, message, retry_after=after)


def apply_text(manifest: Manifest) -> str:
    """Return JSON that is YAML too: JSON writes an emoji as two escapes, which YAML refuses."""
    text = json.dumps(manifest, ensure_ascii=False)
    return _ESCAPED.sub(lambda found: _escape(ord(found[0])), text)


def _escape(character: int) -> str:
    return f"\\u{character:04x}" if character <= _LAST_OF_FOUR else f"\\U{character:08x}"


def _path(kind: Kind, namespace: str | None, name: str = "") -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    scope = f"/namespaces/{namespace}" if namespace else ""
    return f"{root}{scope}/{kind.plural}" + (f"/{name}" if name else "")


async def connect(kubeconfig: str | None = None, *, gate: WriteGate | None = None) -> RealCluster:
    """Return the cluster this process is to work on: a kubeconfig, or the pod's own account.

    The environment's proxies and netrc files are left out, as the watch layer leaves them out: the
    client would read them anew for each request, in two threads.
    """
    configuration = Configuration(client_session_kwargs={"trust_env": False})
    configuration.connection_pool_maxsize = _CONNECTIONS

    async def load() -> None:
        await load_credentials(configuration, kubeconfig)

    await load()
    return RealCluster(ApiClient(configuration), gate=gate, reload=load)
