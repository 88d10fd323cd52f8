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
import secrets
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
        """Hold the one writer's place for a blob; waits while another pod has it.

        The lock is the kernel's (flock), so that it ends with its holder, also by SIGKILL.
        """
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        lock = os.open(self.partial / f"{key}.lock", flags, _FILE_MODE)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def commit(self, partial: Path, digest: str) -> None:
        """Give a verified file its final name: data first, then the name, then the folder."""
        handle = os.open(partial, os.O_RDONLY | os.O_NOFOLLOW)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
        partial.chmod(_FILE_MODE)
        partial.rename(self.blob(digest))
        self._sync_folder(self.root / BLOBS)

    def add_bytes(self, content: bytes) -> Entry:
        """Store a small blob and return it."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        if not self.has(digest):
            temporary = self.partial / f"{secrets.token_hex(8)}.new"
            self._write(temporary, content)
            self.commit(temporary, digest)
        return Entry("", digest, len(content))

    def write_view(self, model: str, entries: Sequence[Entry], record: Mapping[str, Json]) -> None:
        """Make the model's named view exactly these files."""
        folder = self._folder(f"{MODELS}/{model}")
        for entry in entries:
            self._link(folder, entry.name, f"../../{BLOBS}/{blob_name(entry.digest)}")
        self._replace(folder / RECORD, _canonical(record))
        wanted = {entry.name for entry in entries} | {RECORD}
        for file in folder.iterdir():
            if file.name not in wanted:
                file.unlink()
        self._sync_folder(folder)

    def write_manifest(self, model: str, tag: str, manifest: Mapping[str, Json]) -> None:
        """Write Ollama's manifest of a model."""
        folder = self._folder(f"{MANIFESTS}/{model}")
        self._replace(folder / tag, _canonical(manifest))
        self._sync_folder(folder)

    def records(self) -> dict[str, tuple[str, ...]]:
        """Return which digests each model of this store uses."""
        found: dict[str, tuple[str, ...]] = {}
        for record in (self.root / MODELS).glob(f"*/{RECORD}"):
            content = json.loads(record.read_text())
            found[record.parent.name] = tuple(content.get("blobs", ()))
        return found

    def remove(self, model: str) -> int:
        """Remove a model's views, then the blobs no other model uses; return the bytes freed."""
        records = self.records()
        own = records.pop(model, ())
        kept = {digest for digests in records.values() for digest in digests}
        for folder in (self.root / MANIFESTS / model, self.root / MODELS / model):
            self._remove_folder(folder)
        freed = 0
        for digest in own:
            if digest not in kept and self.has(digest):
                freed += self.blob(digest).lstat().st_size
                self.blob(digest).unlink()
        return freed

    def _remove_folder(self, folder: Path) -> None:
        if not folder.is_symlink() and folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    def _link(self, folder: Path, name: str, target: str) -> None:
        link = folder / name
        if link.is_symlink() and str(link.readlink()) == target:
            return
        temporary = folder / f".{secrets.token_hex(8)}"
        temporary.symlink_to(target)
        temporary.rename(link)

    def _replace(self, file: Path, content: bytes) -> None:
        temporary = file.parent / f".{secrets.token_hex(8)}"
        self._write(temporary, content)
        temporary.rename(file)

    def _write(self, file: Path, content: bytes) -> None:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(file, flags, _FILE_MODE)
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

    def _sync_folder(self, folder: Path) -> None:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _canonical(value: Mapping[str, Json]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
