"""What a source lets a pull in by for a while, a token or a signed URL, got anew when it runs out.

Registries' tokens live for minutes and large weights take hours. One ticket serves all files and
threads of a pull.
"""

import http.client
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from paddock.puller.web import Answer, Transient, Web

_REFUSED = frozenset({http.client.UNAUTHORIZED, http.client.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Way:
    """How files are asked for just now: headers, and a URL in place of the file's own."""

    headers: Mapping[str, str]
    url: str | None = None


class Ticket:
    """A way in that may run out; `get` gets another one."""

    def __init__(self, get: Callable[[], Way]) -> None:
        self._get, self._lock = get, threading.Lock()
        self._way, self._honoured = get(), False

    @property
    def way(self) -> Way:
        """Return the newest way."""
        return self._way

    def honour(self, way: Way) -> None:
        """Remember that the source took a way."""
        with self._lock:
            self._honoured |= way is self._way

    def renew(self, refused: Way) -> bool:
        """Get another way for one that ran out; False if the source never took the newest."""
        with self._lock:
            if refused is self._way:
                if not self._honoured:
                    return False
                self._way, self._honoured = self._get(), False
            return True


@dataclass(frozen=True, slots=True)
class Place:
    """Where one file is at its source; the URL names it, also where a ticket has another."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    ticket: Ticket | None = None

    def open(self, web: Web, headers: Mapping[str, str]) -> Answer:
        """Ask for the file; raise Transient where the ticket ran out and there is a new one."""
        if self.ticket is None:
            return web.open(self.url, {**self.headers, **headers})
        way = self.ticket.way
        answer = web.open(way.url or self.url, {**self.headers, **way.headers, **headers})
        if answer.status not in _REFUSED:
            self.ticket.honour(way)
        elif self.ticket.renew(way):
            answer.close()
            raise Transient("what the source allowed has run out", after=0.0)
        return answer
