"""One remote file into the store: at most once, whole, under its digest."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from paddock.api.pull import PullReason
from paddock.puller.download import ChangedError, Download, Remote, probe
from paddock.puller.gguf import MAGIC, GgufError, GgufHeader, read_header
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.safetensors import SafetensorsError, check_header
from paddock.puller.store import Store
from paddock.puller.web import Web

TRIES = 3
_OTHER_FILES = (".safetensors", ".json", ".model", ".txt", ".jinja")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file the model consists of; `digest` where the source or the user says it."""

    name: str
    url: str
    digest: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file that is in the store, and its header if it is a GGUF file."""

    name: str
    digest: str
    size: int
    header: GgufHeader | None
    etag: str | None = None
    """The source's version of a file fetched now."""


class Fetcher:
    """Fetches the files of one pull."""

    def __init__(self, web: Web, store: Store, meter: Meter, parallelism: int) -> None:
        self._web, self._store, self._meter = web, store, meter
        self._parallelism = parallelism

    def fetch(self, file: RemoteFile) -> StoredFile:
        """Return the stored file, fetching what the store lacks."""
        if file.digest and self._store.has(file.digest):
            return self._present(file.name, file.digest)
        with self._store.writer(_key(file)):
            if file.digest and self._store.has(file.digest):
                return self._present(file.name, file.digest)
            return self._fetched(file)

    def _present(self, name: str, digest: str) -> StoredFile:
        blob = self._store.blob(digest)
        size = blob.stat().st_size
        self._meter.expect(size)
        self._meter.add(size, fetched=False)
        return StoredFile(name, digest, size, _header(blob, size))

    def _fetched(self, file: RemoteFile) -> StoredFile:
        """Fetch until the digest is right; a wrong one is thrown away, three times at most."""
        found = ""
        for _ in range(TRIES):
            remote = probe(self._web, file.url, file.headers)
            size = remote.size or 0
            partial = self._partial(file, remote)
            self._meter.expect(size)
            try:
                found = self._digest(remote, partial)
            except ChangedError:
                _discard(partial)
                continue
            if file.digest in (None, found):
                header = _checked_header(file.name, partial, size)
                self._store.commit(partial, found)
                _discard(partial)
                self._meter.tell(None)
                return StoredFile(file.name, found, size, header, remote.etag)
            _discard(partial)
            self._meter.tell(_mismatch(file, found).failure)
        if not found:
            raise PullError(
                PullReason.SOURCE_REFUSED, f"{file.name} changes at the source while it is read."
            )
        raise _mismatch(file, found)

    def _digest(self, remote: Remote, partial: Path) -> str:
        if remote.size == 0:
            partial.touch()
            return f"sha256:{hashlib.sha256(b'').hexdigest()}"
        return Download(self._web, remote, partial, self._meter).run(self._parallelism)

    def _partial(self, file: RemoteFile, remote: Remote) -> Path:
        """Name the partial file by what it will be, so that only the same file is resumed."""
        identity = f"{_key(file)} {remote.size} {remote.etag}"
        key = hashlib.sha256(identity.encode()).hexdigest()[:32]
        return self._store.partial / f"{key}.part"


def _mismatch(file: RemoteFile, found: str) -> PullError:
    return PullError(
        PullReason.DIGEST_MISMATCH,
        f"{file.name} has digest {found} and {file.digest} was expected.",
    )


def _key(file: RemoteFile) -> str:
    return hashlib.sha256((file.digest or file.url).encode()).hexdigest()[:32]


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    partial.with_suffix(".marks").unlink(missing_ok=True)


def _checked_header(name: str, partial: Path, size: int) -> GgufHeader | None:
    """Check what the file says of itself; a file no engine should open is thrown away."""
    try:
        header = _header(partial, size)
        if header is None and name.endswith(".safetensors"):
            with partial.open("rb") as stream:
                check_header(stream, size)
    except (GgufError, SafetensorsError) as error:
        _discard(partial)
        raise PullError(PullReason.INVALID_ARTIFACT, str(error)) from error
    if header is None and not name.endswith(_OTHER_FILES):
        _discard(partial)
        raise PullError(
            PullReason.UNSUPPORTED_FORMAT,
            f"{name} is neither GGUF nor safetensors; nothing else is served.",
        )
    return header


def _header(file: Path, size: int) -> GgufHeader | None:
    """Read the header of a GGUF file; None for any other kind of file."""
    with file.open("rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return None
        stream.seek(0)
        return read_header(stream, size)
