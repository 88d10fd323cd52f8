"""The store in a volume: content-addressed blobs, Ollama's manifests, and named views of them.

    blobs/sha256-HEX                                   the bytes, once
    manifests/registry.ollama.ai/library/NAME/TAG      Ollama's manifest
    models/NAME/FILE -> ../../blobs/sha256-HEX         the view of llama.cpp and vLLM
    models/NAME/.paddock.json                          which blobs this model uses

A blob has its final name only when its bytes have its digest. Every path is opened relative to the
store's own folders, without following links.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddock.api.pull import PullReason
from paddock.puller.problems import PullError
from paddock.wire import Json

BLOBS, MANIFESTS, MODELS = "blobs", "manifests/registry.ollama.ai/library", "models"
PARTIAL = "partial"
RECORD = ".paddock.json"
_UNFINISHED = (".part", ".marks")
_VERSION, _WANTED = ".version", ".wanted"
_RECORD_LIMIT = 1 << 20
_BLOB_NAME = re.compile(r"sha256-[0-9a-f]{64}")
_SAFELY = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
"""No link is followed, and a planted pipe holds nobody up."""
_FOLDER_MODE, _FILE_MODE = 0o2775, 0o664
"""Group-writable: pods of one volume share its fsGroup, not their user."""


def blob_name(digest: str) -> str:
    """Return the file name of a digest sha256:HEX in the store."""
    return digest.replace(":", "-")


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of a model as its view names it."""

    name: str
    digest: str
    size: int


class Store:
    """One store on one mounted volume."""

    def __init__(self, root: Path) -> None:
        self.root = root
        os.umask(0o002)
        for folder in (BLOBS, f"{BLOBS}/{PARTIAL}", MANIFESTS, MODELS):
            self._folder(folder)

    def _folder(self, relative: str) -> Path:
        """Make a folder of the store; refuse one that somebody made a link."""
        path = self.root
        for part in relative.split("/"):
            path = path / part
            with contextlib.suppress(FileExistsError):
                path.mkdir(mode=_FOLDER_MODE)
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise PullError(
                    PullReason.STORAGE_ERROR,
                    f"The volume holds {relative} as something other than a folder; remove it.",
                )
        return path

    @property
    def partial(self) -> Path:
        """Return the folder of unfinished downloads."""
        return self.root / BLOBS / PARTIAL

    def blob(self, digest: str) -> Path:
        """Return where the blob of a digest is or will be."""
        return self.root / BLOBS / blob_name(digest)

    def has(self, digest: str) -> bool:
        """Return whether the blob is there, as a plain file."""
        try:
            return stat.S_ISREG(self.blob(digest).lstat().st_mode)
        except FileNotFoundError:
            return False

    @contextlib.contextmanager
    def writer(self, key: str) -> Iterator[None]:
        """Hold the one writer's place for a key; waits while another process has it.

        The lock is the kernel's (flock), so that it ends with its holder, also by SIGKILL. Its file
        goes with it: who waited on a file that is gone asks for a new one.
        """
        path = self.partial / f"{key}.lock"
        while True:
            lock = os.open(path, os.O_CREAT | os.O_RDWR | _SAFELY, _FILE_MODE)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if _is_at(lock, path):
                    try:
                        yield
                    finally:
                        path.unlink(missing_ok=True)
                    return
            finally:
                os.close(lock)

    @contextlib.contextmanager
    def publishing(self) -> Iterator[None]:
        """Hold the place of who changes models: nobody frees a blob that is about to be named."""
        with self.writer("models"):
            yield

    def commit(self, partial: Path, digest: str) -> None:
        """Give a verified file its final name: data first, then the name, then the folder."""
        handle = os.open(partial, os.O_RDONLY | _SAFELY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        partial.rename(self.blob(digest))
        self._sync_folder(self.root / BLOBS)

    def add_bytes(self, model: str, content: bytes) -> Entry:
        """Store a small blob of a model and return it."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        with self.writer(blob_name(digest)):
            if not self.want(model, digest):
                self.commit(self._written(blob_name(digest), content), digest)
        return Entry("", digest, len(content))

    def want(self, model: str, digest: str) -> bool:
        """Note that a blob is this model's, pulled or not yet, and tell whether it is there.

        Whoever frees another model's blobs meanwhile leaves it, and deleting this model frees it,
        also when its pull never came to an end.
        """
        note = self._wanted(model)
        with self.publishing():
            known = _blobs_of(note) if os.path.lexists(note) else ()
            if digest not in known:
                self._replace(note, _canonical({"model": model, "blobs": [*known, digest]}))
        return self.has(digest)

    def _wanted(self, model: str) -> Path:
        return self.partial / f"{short_name(model)}{_WANTED}"

    def remember(self, version: str, digest: str) -> None:
        """Note which blob a version of a source came to, so that nobody fetches it again."""
        self._link(self.partial / f"{version}{_VERSION}", f"../{blob_name(digest)}")

    def remembered(self, version: str) -> str | None:
        """Return the digest of a version of a source, if its blob is here."""
        link = self.partial / f"{version}{_VERSION}"
        target = str(link.readlink()) if link.is_symlink() else ""
        name = target.removeprefix("../")
        digest = name.replace("-", ":") if _BLOB_NAME.fullmatch(name) else None
        return digest if digest is not None and self.has(digest) else None

    def unfinished(self, key: str, version: str) -> Path:
        """Return the partial file of a version; the caller holds the key's place.

        What an earlier version left is removed: nobody resumes it.
        """
        wanted = self.partial / f"{key}-{version}.part"
        for file in self.partial.glob(f"{key}-*"):
            if file.stem != wanted.stem and file.suffix in _UNFINISHED:
                file.unlink()
        return wanted

    def write_view(self, model: str, entries: Sequence[Entry], record: Mapping[str, Json]) -> None:
        """Make the model's named view exactly these files; `record` names all its blobs.

        The blobs it had before stay its own until it is removed: an engine may still serve them.
        """
        folder = self._folder(f"{MODELS}/{model}")
        before = self._record(model)
        for entry in entries:
            self._link(folder / entry.name, f"../../{BLOBS}/{blob_name(entry.digest)}")
        self._replace(folder / RECORD, _canonical({**record, "earlier": before}))
        wanted = {entry.name for entry in entries} | {RECORD}
        for file in folder.iterdir():
            if file.name not in wanted:
                file.unlink()
        self._sync_folder(folder)
        self._wanted(model).unlink(missing_ok=True)

    def write_manifest(self, model: str, tag: str, manifest: Mapping[str, Json]) -> None:
        """Write Ollama's manifest of a model."""
        folder = self._folder(f"{MANIFESTS}/{model}")
        self._replace(folder / tag, _canonical(manifest))
        self._sync_folder(folder)

    def remove(self, model: str) -> int:
        """Remove a model's views, then the blobs no other model uses; return the bytes freed."""
        with self.publishing():
            own = self._record(model)
            others = {digest for record in self._others(model) for digest in _blobs_of(record)}
            self._remove_folder(self.root / MANIFESTS / model)
            freed = 0
            for digest in own:
                if digest not in others and self.has(digest):
                    freed += self.blob(digest).lstat().st_size
                    self.blob(digest).unlink()
            self._forget_versions()
            self._remove_folder(self.root / MODELS / model)  # its record goes last
            self._wanted(model).unlink(missing_ok=True)
        return freed

    def _record(self, model: str) -> tuple[str, ...]:
        """Return the blobs of a model: those it serves, served before, and was about to have."""
        files = (self.root / MODELS / model / RECORD, self._wanted(model))
        known = [_blobs_of(file) for file in files if os.path.lexists(file)]
        return tuple(sorted({digest for each in known for digest in each}))

    def _others(self, model: str) -> Iterator[Path]:
        """Yield the records and notes of every other model."""
        for folder in (self.root / MODELS).iterdir():
            record = folder / RECORD
            if folder.name != model and not folder.is_symlink() and os.path.lexists(record):
                yield record
        own = self._wanted(model)
        yield from (note for note in self.partial.glob(f"*{_WANTED}") if note != own)

    def _forget_versions(self) -> None:
        for link in self.partial.glob(f"*{_VERSION}"):
            if not link.exists():
                link.unlink()

    def _remove_folder(self, folder: Path) -> None:
        if not folder.is_symlink() and folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    def _link(self, link: Path, target: str) -> None:
        if link.is_symlink() and str(link.readlink()) == target:
            return
        temporary = self._temporary(f"{link.parent.name}/{link.name}")
        temporary.symlink_to(target)
        temporary.rename(link)

    def _replace(self, file: Path, content: bytes) -> None:
        self._written(f"{file.parent.name}/{file.name}", content).rename(file)

    def _temporary(self, what: str) -> Path:
        """Return the path of a file that is about to be renamed; a kill may have left one."""
        path = self.partial / f"{short_name(what)}.new"
        path.unlink(missing_ok=True)
        return path

    def _written(self, what: str, content: bytes) -> Path:
        path = self._temporary(what)
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | _SAFELY, _FILE_MODE)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
        except OSError:
            path.unlink(missing_ok=True)
            raise
        return path

    def _sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def short_name(text: str) -> str:
    """Return what stands for a text in the names of files: 32 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _is_at(handle: int, path: Path) -> bool:
    """Tell whether an open file still has its name."""
    try:
        there = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), there)


def _blobs_of(record: Path) -> tuple[str, ...]:
    """Return the digests a record names; one that cannot be read keeps its blobs by raising."""
    try:
        handle = os.open(record, os.O_RDONLY | _SAFELY)
        with os.fdopen(handle, "rb") as stream:
            content = json.loads(stream.read(_RECORD_LIMIT))
        blobs = [*content["blobs"], *content.get("earlier", ())]
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(record) from error
    if not all(isinstance(blob, str) and _BLOB_NAME.fullmatch(blob_name(blob)) for blob in blobs):
        raise _damaged(record)
    return tuple(sorted(set(blobs)))


def _damaged(record: Path) -> PullError:
    where = f"{record.parent.name}/{record.name}"
    return PullError(
        PullReason.STORAGE_ERROR,
        f"The volume's record {where} is damaged, so nothing is freed; remove it by hand.",
    )


def _canonical(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
