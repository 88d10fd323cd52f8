"""Trying again: exponential back-off with jitter, a server's Retry-After first. I/O timing only."""

from collections.abc import Callable
from typing import TypeVar

import tenacity

from paddock.api.pull import PullReason
from paddock.puller.problems import PullError
from paddock.puller.web import Transient

ATTEMPTS = 6
_FIRST, _LIMIT = 0.5, 30.0
_Result = TypeVar("_Result")
_backoff = tenacity.wait_exponential_jitter(multiplier=_FIRST, max=_LIMIT)


def _wait(state: tenacity.RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Transient) and error.after is not None:
        return error.after
    return _backoff(state)


def retried(action: Callable[[], _Result]) -> _Result:
    """Run an action until it succeeds; after six transient failures the source is unreachable."""
    try:
        return tenacity.Retrying(
            retry=tenacity.retry_if_exception_type(Transient),
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=_wait,
            reraise=True,
        )(action)
    except Transient as error:
        raise PullError(
            PullReason.SOURCE_UNREACHABLE, f"The source cannot be reached: {error}."
        ) from error
