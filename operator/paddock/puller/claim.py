"""Weights that are already in the claim: checked, hashed, and linked into the store beside them.

No network. A file becomes a blob by a copy that shares its blocks where the file system can do
that, else by a second name (hard link), else by a copy; the user's own file is never changed. What
the path leads to is judged by what was opened: it must lie in this claim.
"""

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddock.api.pull import PullPlan, PullReason
from paddock.api.source import ClaimSource
from paddock.puller.choose import HubFile, choose_files
from paddock.puller.fetch import StoredFile, checked_header
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.store import Store

_READ = 1 << 20
_CLONE = 0x40049409
"""FICLONE of linux/fs.h."""
_CANNOT = frozenset(
    {errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.ENOTTY, errno.EINVAL, errno.EMLINK,
     errno.ENOSYS, errno.EACCES}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Local:
    """One file of the claim under its own name, and what tells whether it is still the same."""

    name: str
    path: Path
    size: int
    version: str


def find_files(root: Path, source: ClaimSource, plan: PullPlan) -> Sequence[Local]:
    """Return the files the source names: the one file, or those of a folder that are the model."""
    path = root / source.path
    place = _within(root, path, source)
    if place.is_file():
        return [_local(path.name, place)]
    if not place.is_dir():
        raise PullError(PullReason.SOURCE_REFUSED, f"{source.path} is neither a file nor a folder.")
    entries = [(each.name, _within(root, each, source)) for each in sorted(place.iterdir())]
    known = {name: _local(name, file) for name, file in entries if file.is_file()}
    chosen = choose_files(
        [HubFile(name, local.size, None) for name, local in known.items()],
        wanted=None,
        quantization=plan.quantization,
        max_bytes=plan.max_bytes,
    )
    return [known[file.name] for file in chosen]


def revision_of(files: Sequence[Local]) -> str:
    """Return what changes when any of the files is another."""
    lines = "".join(f"{file.name} {file.version}\n" for file in files)
    return hashlib.sha256(lines.encode()).hexdigest()


class Importer:
    """Brings the files of a claim into its own store."""

    def __init__(self, store: Store, meter: Meter, plan: PullPlan) -> None:
        self._store, self._meter, self._model = store, meter, plan.model

    def bring(self, file: Local) -> StoredFile:
        """Return the stored file; hash it once for each version."""
        self._meter.expect(file.size)
        with self._store.writer(file.version), _opened(self._store.root, file) as handle:
            here = Path(f"/proc/self/fd/{handle}")
            header = checked_header(file.name, here, file.size)
            known = self._store.remembered(file.version)
            digest = known or self._hashed(handle)
            if known is not None:
                self._meter.add(file.size, fetched=False)
            _check(_version(file.path, os.fstat(handle)) == file.version, file)
            partial = self._store.unfinished(file.version, version="")
            partial.unlink(missing_ok=True)
            if not self._store.want(self._model, digest):
                self._store.remember(file.version, digest)
                _share(handle, file, partial)
                self._store.commit(partial, digest)
        return StoredFile(file.name, digest, file.size, header)

    def _hashed(self, handle: int) -> str:
        digest = hashlib.sha256()
        while data := os.read(handle, _READ):
            digest.update(data)
            self._meter.add(len(data), fetched=False)
        return f"sha256:{digest.hexdigest()}"


def _share(handle: int, file: Local, target: Path) -> None:
    """Make the target hold the file's bytes, taking as little room as the volume allows."""
    if _cloned(handle, target):
        return
    try:
        os.link(f"/proc/self/fd/{handle}", target, src_dir_fd=handle)  # linkat, which follows
    except OSError as error:
        if error.errno not in _CANNOT:
            raise
        _copy(handle, file, target)


def _cloned(handle: int, target: Path) -> bool:
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    clone = os.open(target, flags, 0o664)
    try:
        fcntl.ioctl(clone, _CLONE, handle)
    except OSError as error:
        target.unlink()
        if error.errno not in _CANNOT:
            raise
        return False
    finally:
        os.close(clone)
    return True


def _copy(handle: int, file: Local, target: Path) -> None:
    space = os.statvfs(target.parent)
    if file.size > space.f_bavail * space.f_frsize:
        raise PullError(
            PullReason.INSUFFICIENT_STORAGE,
            f"The claim cannot link {file.name} and has no room for a copy of it.",
        )
    os.lseek(handle, 0, os.SEEK_SET)
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o664), "wb") as stream:
        while data := os.read(handle, _READ):
            stream.write(data)


@contextlib.contextmanager
def _opened(root: Path, file: Local) -> Iterator[int]:
    """Open a file; raise if it is not the one that was found, or is another when all is done."""
    handle = os.open(file.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        opened = Path(f"/proc/self/fd/{handle}").readlink()
        _check(opened.is_relative_to(root.resolve()), file)
        _check(_version(file.path, os.fstat(handle)) == file.version, file)
        yield handle
    finally:
        os.close(handle)


def _check(unchanged: bool, file: Local) -> None:  # noqa: FBT001 - the one thing it is told
    if not unchanged:
        raise PullError(PullReason.SOURCE_REFUSED, f"{file.name} changes while it is read.")


def _within(root: Path, path: Path, source: ClaimSource) -> Path:
    """Follow links, as a cache of a hub has them, but only inside the claim."""
    try:
        place = path.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise PullError(
            PullReason.SOURCE_NOT_FOUND,
            f"The claim {source.claim} has nothing at {source.path}; check the source.",
        ) from error
    if not place.is_relative_to(root.resolve()):
        raise PullError(
            PullReason.SOURCE_FORBIDDEN, f"{source.path} leads out of the claim {source.claim}."
        )
    return place


def _local(name: str, path: Path) -> Local:
    status = path.lstat()
    return Local(name, path, status.st_size, _version(path, status))


def _version(path: Path, status: os.stat_result) -> str:
    told = f"{path} {status.st_mtime_ns} {status.st_size} {stat.S_ISREG(status.st_mode)}"
    return hashlib.sha256(told.encode()).hexdigest()[:32]
