"""A small client of the embedded apiserver for the programs of this folder: JSON over its own PKI.

Synchronous and standard library only: the storage keeper lives as long as the cluster and must be
small. The operator has its own client in `paddock.kube`.
"""

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from paddock.wire import Json, Manifest

_SECONDS = 10
_WATCH_SECONDS = 240


class ApiError(Exception):
    """The apiserver refused; `code` is HTTP's."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class ApiClient:
    """Speaks as the identity whose certificate PKI/IDENTITY.crt is."""

    def __init__(self, server: str, pki: Path, identity: str) -> None:
        target = urlsplit(server)
        self._host, self._port = str(target.hostname), target.port
        self._context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        self._context.load_cert_chain(pki / f"{identity}.crt", pki / f"{identity}.key")

    def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Json] | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        """Send one request and return the parsed answer; raise ApiError on a refusal."""
        connection = self._connect(_SECONDS)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": content_type})
            answer = connection.getresponse()
            content = answer.read()
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise ApiError(answer.status, _message(content))
            parsed: Manifest = json.loads(content)
            return parsed
        finally:
            connection.close()

    def answers(self, path: str) -> bool:
        """Return whether a plain GET succeeds now."""
        connection = self._connect(_SECONDS)
        try:
            connection.request("GET", path)
            return connection.getresponse().status == HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def changes(self, path: str) -> Iterator[None]:
        """Yield once for every change of a collection, until the apiserver ends the watch."""
        connection = self._connect(_WATCH_SECONDS + _SECONDS)
        try:
            connection.request("GET", f"{path}?watch=1&timeoutSeconds={_WATCH_SECONDS}")
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                raise ApiError(answer.status, _message(answer.read()))
            while answer.readline():
                yield
        finally:
            connection.close()

    def _connect(self, seconds: float) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            self._host, self._port, context=self._context, timeout=seconds
        )


def _message(content: bytes) -> str:
    try:
        return str(json.loads(content).get("message", ""))
    except ValueError:
        return content.decode(errors="replace")[:200]
