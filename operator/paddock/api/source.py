"""A source URI, parsed once into a typed value or refused with a sentence.

Pure. Used by the operator (refuse early, plan the Job) and by the puller (fetch). Nothing of a URI
ever becomes a path of the store: file names are checked here.
"""

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import urlsplit

MAX_LENGTH = 2048
_SEGMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,95}\Z")
_FILE = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._+-]{0,199}\Z")
_REVISION = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}\Z")
_HOST = re.compile(r"^(?=.{1,253}(:|$))[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]{1,5})?\Z")
_TAG = re.compile(r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
_DIGEST = re.compile(r"^sha256:[0-9a-f]{64}\Z")
_BUCKET = re.compile(r"^[a-z0-9][a-z0-9._-]{1,221}[a-z0-9]\Z")
_CLAIM = re.compile(r"^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\Z")
_REPOSITORY_SEGMENTS = 2


class SourceError(ValueError):
    """The URI is not a source; the message says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class HubSource:
    """A Hugging Face repository, perhaps one file of it, at a revision."""

    repository: str
    file: str | None
    revision: str


@dataclass(frozen=True, slots=True)
class RegistrySource:
    """A manifest in a registry that speaks the OCI distribution protocol.

    `registry` None is the administrator's default registry of Ollama models.
    """

    scheme: Literal["ollama", "oci"]
    registry: str | None
    repository: str
    reference: str


@dataclass(frozen=True, slots=True)
class WebSource:
    """One file over http(s); plain http only where the administrator allows it."""

    url: str
    file: str


@dataclass(frozen=True, slots=True)
class BucketSource:
    """One object of an object store."""

    scheme: Literal["s3", "gs"]
    bucket: str
    key: str
    file: str


@dataclass(frozen=True, slots=True)
class ClaimSource:
    """A file or folder that is already in a claim of the namespace."""

    claim: str
    path: str


Source: TypeAlias = HubSource | RegistrySource | WebSource | BucketSource | ClaimSource


def parse_source(uri: str) -> Source:
    """Return the typed source, or raise SourceError with one sentence for the user."""
    if len(uri) > MAX_LENGTH:
        raise SourceError(f"The source is longer than {MAX_LENGTH} characters.")
    if not uri.isascii() or not uri.isprintable() or " " in uri or "\\" in uri:
        raise SourceError("The source holds characters that no source has.")
    scheme, separator, rest = uri.partition("://")
    parser = _PARSERS.get(scheme)
    if not separator or parser is None:
        raise SourceError(f"A source starts with one of {', '.join(f'{s}://' for s in _PARSERS)}.")
    return parser(scheme, rest)


def _parse_hub(_scheme: str, rest: str) -> Source:
    path, _, revision = rest.partition("@")
    segments = path.split("/")
    if len(segments) < _REPOSITORY_SEGMENTS:
        raise SourceError("A Hugging Face source is hf://ORG/REPO[/FILE][@REVISION].")
    repository = segments[:_REPOSITORY_SEGMENTS]
    _check_all(repository, _SEGMENT, "the repository")
    files = segments[_REPOSITORY_SEGMENTS:]
    _check_all(files, _FILE, "the file")
    if revision and (not _REVISION.match(revision) or ".." in revision):
        raise SourceError("The revision after @ is a branch, a tag or a commit.")
    return HubSource("/".join(repository), "/".join(files) or None, revision or "main")


def _parse_ollama(_scheme: str, rest: str) -> Source:
    path, colon, tag = rest.rpartition(":") if ":" in rest.rpartition("/")[2] else (rest, "", "")
    segments = path.split("/")
    registry: str | None = None
    if len(segments) > 1 and ("." in segments[0] or ":" in segments[0]):
        registry = _host(segments.pop(0))
    _check_all(segments, _SEGMENT, "the model's name")
    repository = "/".join(segments if len(segments) > 1 else ["library", *segments])
    if colon and not _TAG.match(tag):
        raise SourceError("The tag after : holds letters, digits, dots, dashes and underscores.")
    return RegistrySource("ollama", registry, repository, tag or "latest")


def _parse_oci(_scheme: str, rest: str) -> Source:
    host, _, path = rest.partition("/")
    name, separator, digest = path.partition("@")
    if separator:
        if not _DIGEST.match(digest):
            raise SourceError("The digest after @ is sha256: and 64 hexadecimal digits.")
        reference = digest
    else:
        name, _, tag = name.partition(":")
        reference = tag or "latest"
        if not _TAG.match(reference):
            raise SourceError("The tag after : holds letters, digits, dots, dashes, underscores.")
    _check_all(name.split("/"), _SEGMENT, "the repository")
    return RegistrySource("oci", _host(host), name, reference)


def _parse_web(scheme: str, rest: str) -> Source:
    url = f"{scheme}://{rest}"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SourceError("The URL's host or port cannot be read.") from error
    if parts.username is not None or parts.password is not None:
        raise SourceError("Credentials do not belong in the URL: use credentials.secretName.")
    if not parts.hostname or port == 0:
        raise SourceError("The URL names no host.")
    if parts.fragment:
        raise SourceError("A URL to fetch has no fragment.")
    file = parts.path.rpartition("/")[2]
    if not _FILE.match(file):
        raise SourceError("The URL's path must end in a plain file name such as model.gguf.")
    return WebSource(url, file)


def _parse_bucket(scheme: str, rest: str) -> Source:
    bucket, _, key = rest.partition("/")
    if not _BUCKET.match(bucket):
        raise SourceError("The bucket's name is not one an object store allows.")
    segments = key.split("/")
    _check_all(segments, _FILE, "the key")
    return BucketSource("s3" if scheme == "s3" else "gs", bucket, key, segments[-1])


def _parse_claim(_scheme: str, rest: str) -> Source:
    claim, _, path = rest.partition("/")
    if not _CLAIM.match(claim):
        raise SourceError("A claim source is pvc://CLAIM/PATH, with a claim of this namespace.")
    _check_all(path.split("/"), _FILE, "the path")
    return ClaimSource(claim, path)


def _host(host: str) -> str:
    _, separator, port = host.partition(":")
    if not _HOST.match(host) or (separator and int(port) not in range(1, 65536)):
        raise SourceError("The registry is a host name, perhaps with a port.")
    return host


def _check_all(segments: list[str], pattern: re.Pattern[str], what: str) -> None:
    for segment in segments:
        if not pattern.match(segment) or ".." in segment:
            raise SourceError(f"A part of {what} is empty or holds characters it may not.")


_PARSERS = {
    "hf": _parse_hub,
    "ollama": _parse_ollama,
    "https": _parse_web,
    "http": _parse_web,
    "s3": _parse_bucket,
    "gs": _parse_bucket,
    "oci": _parse_oci,
    "pvc": _parse_claim,
}
