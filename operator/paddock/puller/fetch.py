"""One remote file into the store: at most once, whole, under its digest."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from paddock.api.pull import PullPlan, PullReason
from paddock.puller.download import ChangedError, Download, Remote, probe
from paddock.puller.gguf import MAGIC, GgufError, GgufHeader, read_header
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.safetensors import SafetensorsError, check_header
from paddock.puller.store import Store, short_name
from paddock.puller.ticket import Place
from paddock.puller.web import Web

TRIES = 3
SIDE_FILES = (".json", ".model", ".txt", ".jinja")
"""What lies beside weights and is none."""
_SAFETENSORS = ".safetensors"


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """One file the model consists of; `digest` where the source or the user says it."""

    name: str
    place: Place
    digest: str | None = None


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

    def __init__(self, web: Web, store: Store, meter: Meter, plan: PullPlan) -> None:
        self._web, self._store, self._meter = web, store, meter
        self._model = plan.model
        self._parallelism = plan.parallelism

    def fetch(self, file: RemoteFile) -> StoredFile:
        """Return the stored file, fetching what the store lacks."""
        with self._store.writer(_key(file)):
            if file.digest and self._store.want(self._model, file.digest):
                self._store.unfinished(_key(file), version="")
                return self._present(file.name, file.digest)
            return self._fetched(file)

    def _present(self, name: str, digest: str, etag: str | None = None) -> StoredFile:
        blob = self._store.blob(digest)
        size = blob.stat().st_size
        self._meter.expect(size)
        self._meter.add(size, fetched=False)
        return StoredFile(name, digest, size, _header(blob, size), etag)

    def _fetched(self, file: RemoteFile) -> StoredFile:
        """Fetch until the digest is right; a wrong one is thrown away, three times at most."""
        found = ""
        for _ in range(TRIES):
            remote = probe(self._web, file.place)
            version = _version(file, remote)
            partial = self._store.unfinished(_key(file), version)
            known = self._store.remembered(version) if remote.etag else None
            if known and file.digest is None and self._store.want(self._model, known):
                _discard(partial)
                return self._present(file.name, known, remote.etag)
            standing = self._meter.standing()
            self._meter.expect(remote.size or 0)
            try:
                found = self._digest(remote, partial)
            except ChangedError:
                found = ""
            if found and file.digest in (None, found):
                return self._committed(file, remote, partial, found)
            _discard(partial)
            self._meter.back_to(standing)
            if found:
                self._meter.tell(_mismatch(file, found).failure)
        if not found:
            raise PullError(
                PullReason.SOURCE_REFUSED, f"{file.name} changes at the source while it is read."
            )
        raise _mismatch(file, found)

    def _committed(
        self, file: RemoteFile, remote: Remote, partial: Path, digest: str
    ) -> StoredFile:
        size = remote.size or 0
        try:
            header = checked_header(file.name, partial, size)
        except PullError:
            _discard(partial)
            raise
        self._store.want(self._model, digest)
        if remote.etag:
            self._store.remember(_version(file, remote), digest)
        self._store.commit(partial, digest)
        _discard(partial)
        self._meter.tell(None)
        return StoredFile(file.name, digest, size, header, remote.etag)

    def _digest(self, remote: Remote, partial: Path) -> str:
        if remote.size == 0:
            os.close(os.open(partial, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC, 0o664))
            return f"sha256:{hashlib.sha256(b'').hexdigest()}"
        return Download(self._web, remote, partial, self._meter).run(self._parallelism)


def _mismatch(file: RemoteFile, found: str) -> PullError:
    return PullError(
        PullReason.DIGEST_MISMATCH,
        f"{file.name} has digest {found} and {file.digest} was expected.",
    )


def _key(file: RemoteFile) -> str:
    return short_name(file.digest or file.place.url)


def _version(file: RemoteFile, remote: Remote) -> str:
    """Name what is being fetched, so that only the same bytes are resumed."""
    return short_name(f"{_key(file)} {remote.size} {remote.etag}")


def _discard(partial: Path) -> None:
    partial.unlink(missing_ok=True)
    partial.with_suffix(".marks").unlink(missing_ok=True)


def checked_header(name: str, content: Path, size: int) -> GgufHeader | None:
    """Check what a file says of itself; raise for one that no engine should open."""
    try:
        header = _header(content, size)
        if header is None and name.endswith(_SAFETENSORS):
            with content.open("rb") as stream:
                check_header(stream, size)
    except (GgufError, SafetensorsError) as error:
        raise PullError(PullReason.INVALID_ARTIFACT, str(error)) from error
    if header is None and not name.endswith((_SAFETENSORS, *SIDE_FILES)):
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
