"""Trying again: exponential back-off with jitter, a server's Retry-After first. I/O timing only.

What is tried in vain more than once is told while it lasts: a user sees it before the tries end.
"""

from collections.abc import Callable
from typing import TypeVar

import tenacity

from paddock.api.pull import PullFailure, PullReason
from paddock.puller.problems import PullError
from paddock.puller.web import Transient

ATTEMPTS = 6
_FIRST, _LIMIT = 0.5, 30.0
_TOLD_AFTER = 2
_Result = TypeVar("_Result")
Tell = Callable[[PullFailure | None], None]
"""Takes what is in the way just now, or None when nothing is."""
_backoff = tenacity.wait_exponential_jitter(multiplier=_FIRST, max=_LIMIT)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Transient) and error.after is not None:
        return error.after
    return _backoff(state)


def retried(action: Callable[[], _Result], tell: Tell) -> _Result:
    """Run an action until it succeeds; after six transient failures the source is unreachable."""
    told: list[PullFailure] = []

    def tell_failure(state: tenacity.RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, Transient) and state.attempt_number >= _TOLD_AFTER:
            told.append(_unreachable(error).failure)
            tell(told[-1])

    try:
        result = tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            before_sleep=tell_failure,
            reraise=True,
        )(action)
    except Transient as error:
        raise _unreachable(error) from error
    if told:
        tell(None)
    return result


def _unreachable(error: Transient) -> PullError:
    return PullError(PullReason.SOURCE_UNREACHABLE, f"The source cannot be reached: {error}.")
