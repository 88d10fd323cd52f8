"""What a caller is told when its request cannot be handed over, in OpenAI's error shape. Pure.

No message holds anything of the request but the pool's name, which its own gateway chose.
"""

import json
from dataclasses import dataclass

from paddock.errors import PaddockError


@dataclass(frozen=True, slots=True)
class Answer:
    """One refusal; `retry_after` is in seconds."""

    status: int
    code: str
    message: str
    retry_after: int | None = None

    @property
    def body(self) -> bytes:
        """Return the JSON body."""
        kind = "invalid_request_error" if self.status < 429 else "server_error"  # noqa: PLR2004 - HTTP's own numbers
        if self.code == "queue_full":
            kind = "rate_limit_error"
        error = {"message": self.message, "type": kind, "param": None, "code": self.code}
        return json.dumps({"error": error}).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that go with it."""
        headers = {"Content-Type": "application/json"}
        if self.retry_after is not None:
            headers["Retry-After"] = str(self.retry_after)
        return headers


class RefusedError(PaddockError):
    """The request is answered by the activator itself."""

    reason = "EngineNotReady"

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.message)
        self.answer = answer
