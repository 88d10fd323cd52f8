"""What the operator tells a pull Job, and what the Job tells back.

Pure records, shared by both programs: the plan goes in one environment variable, the report comes
in the termination message (at most 4 KiB), progress comes over HTTP. None holds a credential.
"""

from enum import StrEnum

from paddock.api.base import Record
from paddock.api.localmodel import ArtifactFile, Modelfile, Progress

PLAN_VARIABLE = "PADDOCK_PULL"
REPORT_FILE_VARIABLE = "PADDOCK_REPORT"
REPORT_LIMIT = 4096
"""Bytes of a termination message that the kubelet keeps."""

EXIT_DONE = 0
EXIT_RETRY = 75
"""EX_TEMPFAIL: the same pull may succeed later."""
EXIT_STOP = 65
"""EX_DATAERR: trying again cannot help; the Job's pod failure policy ends it."""


class PullReason(StrEnum):
    """Why a pull failed; each is also a condition reason."""

    SOURCE_UNAUTHORIZED = "SourceUnauthorized"
    SOURCE_NOT_FOUND = "SourceNotFound"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    SOURCE_FORBIDDEN = "SourceForbidden"
    SOURCE_REFUSED = "SourceRefused"
    DIGEST_MISMATCH = "DigestMismatch"
    INVALID_ARTIFACT = "InvalidArtifact"
    UNSUPPORTED_FORMAT = "UnsupportedFormat"
    CREDENTIALS_MISSING = "CredentialsMissing"
    INSUFFICIENT_STORAGE = "InsufficientStorage"
    STORAGE_ERROR = "StorageError"
    INVALID_SPEC = "InvalidSpec"


class Access(Record):
    """What the administrator lets a pull reach beyond public https."""

    hosts: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    http: bool = False
    hf_endpoint: str = "https://huggingface.co"
    ollama_registry: str = "registry.ollama.ai"


class PullPlan(Record):
    """One pull."""

    model: str
    source: str
    quantization: str | None = None
    max_bytes: int | None = None
    """For quantization Auto: the largest file that still fits."""
    digest: str | None = None
    parallelism: int = 8
    access: Access = Access()
    modelfile: Modelfile | None = None


class PullResult(Record):
    """What is now in the store, verified."""

    digest: str
    bytes: int
    fetched_bytes: int
    format: str
    files: tuple[ArtifactFile, ...]
    architecture: str | None = None
    parameters: int | None = None
    quantization: str | None = None
    context_length: int | None = None
    cache_values_per_token: int | None = None
    chat_template: str | None = None
    revision: str | None = None


class PullFailure(Record):
    """Why nothing is; the message is one sentence for the user."""

    reason: PullReason
    message: str
    retry: bool


class Upstream(Record):
    """What the source offers now; a digest where it tells one, else a version to compare."""

    digest: str | None = None
    revision: str | None = None


class PullNews(Progress):
    """The answer of the progress port: how far the pull is, and what is in its way just now."""

    trouble: PullFailure | None = None


class PullReport(Record):
    """The termination message: exactly one of the three."""

    result: PullResult | None = None
    upstream: Upstream | None = None
    failure: PullFailure | None = None


__all__ = [
    "Access",
    "Progress",
    "PullFailure",
    "PullNews",
    "PullPlan",
    "PullReason",
    "PullReport",
    "PullResult",
]
