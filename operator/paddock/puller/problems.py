"""The one exception a pull ends with, and what it means to the Job."""

import errno

from paddock.api.pull import PullFailure, PullReason
from paddock.errors import PaddockError

_RETRIED = frozenset(
    {
        PullReason.SOURCE_UNREACHABLE,
        PullReason.STORAGE_ERROR,
        PullReason.INSUFFICIENT_STORAGE,  # a claim can grow, or be cleared, without our spec
    }
)
"""Not a wrong digest: the pull itself has fetched the file anew three times by then."""
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class PullError(PaddockError):
    """The pull cannot be finished; the message is one sentence without any credential."""

    def __init__(self, reason: PullReason, message: str) -> None:
        super().__init__(message)
        self.cause = reason

    @property
    def failure(self) -> PullFailure:
        """Return the record that goes into the report."""
        return PullFailure(reason=self.cause, message=str(self), retry=self.cause in _RETRIED)


def storage_problem(error: OSError) -> PullError:
    """Return what an error of the volume comes to."""
    if error.errno in _FULL:
        return PullError(
            PullReason.INSUFFICIENT_STORAGE,
            "The volume became full; raise storage.size or free space.",
        )
    what = error.strerror or type(error).__name__
    return PullError(PullReason.STORAGE_ERROR, f"The volume cannot be used: {what}.")
