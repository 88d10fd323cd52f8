"""HTTP as a pull needs it: guarded connections, redirects checked hop by hop, no surprises.

I/O. Every answer that is not success becomes a PullError with a reason; a Retry-After is kept.
"""

import http.client
import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from paddock.api.pull import Access, PullFailure, PullReason
from paddock.puller.guard import GuardedConnection
from paddock.puller.problems import PullError

MAX_REDIRECTS = 5
MAX_DOCUMENT = 4 << 20
USER_AGENT = "paddock-puller"
DOCUMENT_SECONDS = 60.0
_NAME = re.compile(r"[a-z0-9._-]{1,253}")
_BRACKETED = re.compile(r"[0-9a-f:.]{2,45}")
_NUMBER = re.compile(r"[0-9]{1,18}")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DEFAULT_PORTS = {"https": 443, "http": 80}


class Transient(Exception):  # noqa: N818 - a signal to try again, told to nobody
    """The request may succeed if it is tried again, after this many seconds if the server said."""

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after


@dataclass(frozen=True, slots=True)
class Answer:
    """An open answer: its URL after redirects, and the response to read from."""

    url: str
    status: int
    headers: http.client.HTTPMessage
    response: http.client.HTTPResponse
    connection: GuardedConnection

    def read(self, count: int, within: float) -> bytes:
        """Return so many bytes, fewer only at the end; raise if they take longer than this."""
        deadline = time.monotonic() + within
        parts: list[bytes] = []
        while count > 0 and (part := self.response.read1(count)):
            parts.append(part)
            count -= len(part)
            if time.monotonic() > deadline:
                raise TimeoutError
        return b"".join(parts)

    def number(self, header: str) -> int | None:
        """Return a header that is a plain number; None if it is anything else."""
        value = self.headers.get(header, "")
        return int(value) if _NUMBER.fullmatch(value) else None

    def close(self) -> None:
        """Close the connection."""
        self.response.close()
        self.connection.close()


class Web:
    """Opens URLs for one pull; `tell` takes what is in its way while it tries again."""

    def __init__(self, access: Access, tell: Callable[[PullFailure | None], None]) -> None:
        self._access = access
        self.tell = tell

    def open(
        self, url: str, headers: Mapping[str, str] | None = None, *, method: str = "GET"
    ) -> Answer:
        """Open a URL, following at most five redirects; credentials stay with their host."""
        sent = {"User-Agent": USER_AGENT, "Accept-Encoding": "identity", **(headers or {})}
        for _ in range(MAX_REDIRECTS + 1):
            answer = self._request(method, url, sent)
            if answer.status not in _REDIRECTS:
                return answer
            location = answer.headers.get("Location", "")
            answer.close()
            target = _joined(url, location)
            self._parts(target)
            sent = self._checked_redirect(url, target, sent)
            url = target
        raise PullError(
            PullReason.SOURCE_REFUSED, f"The source redirects more than {MAX_REDIRECTS} times."
        )

    def document(self, url: str, headers: Mapping[str, str] | None = None) -> bytes:
        """Return a small document (a manifest, a token)."""
        answer = self.open(url, headers)
        try:
            raise_for_status(answer)
            content = answer.read(MAX_DOCUMENT + 1, DOCUMENT_SECONDS)
        except (OSError, http.client.HTTPException) as error:
            raise Transient("the connection broke") from error
        finally:
            answer.close()
        if len(content) > MAX_DOCUMENT:
            raise PullError(PullReason.SOURCE_REFUSED, "The source's document is too large.")
        return content

    def _checked_redirect(self, url: str, target: str, sent: dict[str, str]) -> dict[str, str]:
        before, after = urlsplit(url), urlsplit(target)
        if before.scheme == "https" and after.scheme != "https":
            raise PullError(
                PullReason.SOURCE_FORBIDDEN, "The source redirects from https to something weaker."
            )
        if (before.hostname, before.port) == (after.hostname, after.port):
            return sent
        return {key: value for key, value in sent.items() if key.lower() != "authorization"}

    def _request(self, method: str, url: str, headers: Mapping[str, str]) -> Answer:
        scheme, host, port, target = self._parts(url)
        connection = GuardedConnection(scheme, host, port, self._access)
        try:
            connection.request(method, target, headers=dict(headers))
            response = connection.getresponse()
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise PullError(
                PullReason.SOURCE_FORBIDDEN,
                f"The certificate of {host} is not valid: {error.verify_message}.",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise Transient(f"{host} did not answer ({type(error).__name__})") from error
        except PullError:
            connection.close()
            raise
        return Answer(url, response.status, response.headers, response, connection)

    def _parts(self, url: str) -> tuple[str, str, int, str]:
        try:
            parts = urlsplit(url)
            port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)
        except ValueError as error:
            raise PullError(PullReason.SOURCE_REFUSED, "The source gives a broken URL.") from error
        if parts.scheme == "http" and not self._access.http:
            raise PullError(
                PullReason.SOURCE_FORBIDDEN,
                "Plain http is not allowed; use https or ask the administrator to allow it.",
            )
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or not port:
            raise PullError(PullReason.SOURCE_FORBIDDEN, "The source leads away from http(s).")
        pattern = _BRACKETED if "[" in parts.netloc else _NAME
        if "@" in parts.netloc or not pattern.fullmatch(parts.hostname):
            raise PullError(PullReason.SOURCE_REFUSED, "The source gives a broken URL.")
        target = parts.path or "/"
        query = f"{target}?{parts.query}" if parts.query else target
        if not query.isascii() or not query.isprintable() or " " in query:
            raise PullError(PullReason.SOURCE_REFUSED, "The source gives a broken URL.")
        return parts.scheme, parts.hostname, port, query


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location)
    except ValueError as error:
        raise PullError(PullReason.SOURCE_REFUSED, "The source gives a broken URL.") from error


_PERMANENT = {
    401: (PullReason.SOURCE_UNAUTHORIZED, "asks for credentials (401); set credentials.secretName"),
    403: (PullReason.SOURCE_UNAUTHORIZED, "does not allow this (403); check the credentials"),
    404: (PullReason.SOURCE_NOT_FOUND, "has no such file (404); check the source"),
    410: (PullReason.SOURCE_NOT_FOUND, "no longer has this file (410); check the source"),
}
_TRIED_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})


def raise_for_status(answer: Answer) -> None:
    """Turn every answer but 200 and 206 into its error."""
    if answer.status in (200, 206):
        return
    host = urlsplit(answer.url).hostname
    if answer.status in _TRIED_AGAIN:
        raise Transient(f"{host} answers {answer.status}", _retry_after(answer))
    reason, words = _PERMANENT.get(
        answer.status, (PullReason.SOURCE_REFUSED, f"answers {answer.status}")
    )
    raise PullError(reason, f"{host} {words}.")


def _retry_after(answer: Answer) -> float | None:
    value = answer.number("Retry-After")
    return min(float(value), 300.0) if value is not None else None
