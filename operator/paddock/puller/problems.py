"""The one exception a pull ends with, and what it means to the Job."""

from paddock.api.pull import PullFailure, PullReason
from paddock.errors import PaddockError

_RETRIED = frozenset({PullReason.SOURCE_UNREACHABLE, PullReason.STORAGE_ERROR})
"""Not a wrong digest: the pull itself has fetched the file anew three times by then."""


class PullError(PaddockError):
    """The pull cannot be finished; the message is one sentence without any credential."""

    def __init__(self, reason: PullReason, message: str) -> None:
        super().__init__(message)
        self.cause = reason

    @property
    def failure(self) -> PullFailure:
        """Return the record that goes into the report."""
        return PullFailure(reason=self.cause, message=str(self), retry=self.cause in _RETRIED)
