"""The one small tree of exceptions; expected situations are outcomes, not exceptions.

A leaf. Each error knows the condition reason that tells it to the user, and whether trying again
can help. No message ever carries a credential.
"""


class PaddockError(Exception):
    """Base of everything this product raises on purpose."""

    reason = "InternalError"
    retry = True


class ApiError(PaddockError):
    """The apiserver refused or could not answer a request."""

    reason = "APIUnavailable"

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class NotFoundError(ApiError):
    """404: the object is not there."""


class ConflictError(ApiError):
    """409: somebody else wrote first, a precondition failed, or the name is taken."""


class ForbiddenError(ApiError):
    """403: rights, quota or Pod Security refused it; waiting alone does not help."""

    reason = "Forbidden"


class InvalidError(ApiError):
    """400 or 422: the apiserver calls the object invalid."""

    reason = "AdmissionFailed"
    retry = False


class GoneError(ApiError):
    """410: the list or watch position is too old; list again."""


class EngineError(PaddockError):
    """An inference engine did not answer its own REST API as documented."""

    reason = "EngineNotReady"
