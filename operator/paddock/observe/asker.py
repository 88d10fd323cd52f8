"""Requests to one engine's REST API: JSON objects in and out, or one EngineError in plain words.

I/O: decides nothing. An engine's own words are kept, without sizes and places that would differ
from one answer to the next. vLLM (0.11) says 200 with an error for what its model is not made for.
"""

import json
import re
from collections.abc import Mapping

import httpx

from paddock.errors import EngineError
from paddock.raw import text
from paddock.wire import Json

_LONGEST = 200
_VOLATILE = re.compile(r"\s*\([^()]*\d[^()]*\)|0x[0-9a-fA-F]+")


class Asker:
    """Requests to one engine."""

    def __init__(self, client: httpx.AsyncClient, base_url: str) -> None:
        self._client, self._base = client, base_url

    async def get(self, path: str, *, seconds: float | None = None) -> Json:
        """Return the answer to a GET, which may take so long; else what the client allows."""
        return await self._answer("GET", path, None, seconds)

    async def post(
        self, path: str, body: Mapping[str, Json], *, seconds: float | None = None
    ) -> Json:
        """Return the answer to a POST, which may take so long; else what the client allows."""
        return await self._answer("POST", path, body, seconds)

    async def _answer(
        self,
        method: str,
        path: str,
        body: Mapping[str, Json] | None,
        seconds: float | None = None,
    ) -> Json:
        timeout = httpx.USE_CLIENT_DEFAULT if seconds is None else httpx.Timeout(seconds)
        try:
            answer = await self._client.request(
                method, f"{self._base}{path}", json=body, timeout=timeout
            )
        except httpx.TimeoutException as error:
            raise EngineError("it took too long") from error
        except httpx.HTTPError as error:
            raise EngineError("the connection failed") from error
        if answer.is_error:
            raise EngineError(_words_of(answer))
        try:
            value: Json = answer.json()
        except ValueError as error:
            raise EngineError("its answer is not JSON") from error
        if text(value, "error", "message"):
            raise EngineError(_words_of(answer))
        return value


def _words_of(answer: httpx.Response) -> str:
    """Return what an engine says of its own failure, on one line that stays the same."""
    try:
        body: Json = json.loads(answer.content)
    except ValueError:
        body = None
    said = text(body, "error", "message") or text(body, "error") or text(body, "message")
    line = _VOLATILE.sub("", " ".join((said or "").split()))[:_LONGEST].strip(" .:")
    return line or f"it answered HTTP {answer.status_code}"
