"""Layers kept in the cache by what they are made of, so that each is written once.

A layer's key is the hash of its inputs and of the code of this package. The newest few of each kind
stay; the others go, as every change of our own code makes another.
"""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from paddock.local import debian
from paddock.local.folders import cache_folder, locked
from paddock.local.images.oci import Layer
from paddock.local.progress import Progress

_KEPT = 3
_IN_USE_SECONDS = 600.0
"""A file that was used so lately may be read by another program now."""
KEY_LENGTH = 12


def images_folder() -> Path:
    """Return the folder of the archives."""
    return cache_folder() / "images"


def cached_layer(
    kind: str, inputs: Sequence[str], write: Callable[[Path], Layer], report: Progress
) -> Layer:
    """Return the layer made of these inputs; `write` gets an empty folder where it is not there."""
    folder = images_folder() / "layers"
    file = folder / f"{kind}-{_key(inputs)}.tar"
    with locked(f"layer-{kind}"):
        known = _recorded(file)
        if known is not None:
            file.touch()
            return known
        report.step("images", f"assembling {kind}")
        with debian.scratch(f"layer-{kind}") as work:
            made = write(work)
            folder.mkdir(parents=True, exist_ok=True)
            made.file.rename(file)
            record = work / "record"
            record.write_text(json.dumps({"digest": made.digest, "size": made.size}))
            record.rename(file.with_suffix(".json"))
        keep_newest(folder, f"{kind}-*.tar")
        return Layer(file, made.digest, made.size)


def _key(inputs: Sequence[str]) -> str:
    digest = hashlib.sha256()
    for code in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(code.read_bytes())
    for each in inputs:
        digest.update(each.encode() + b"\0")
    return digest.hexdigest()[:KEY_LENGTH]


def _recorded(file: Path) -> Layer | None:
    """Return the layer whose record was written, which is after all of its bytes were."""
    try:
        record = json.loads(file.with_suffix(".json").read_text())
        size = file.stat().st_size
    except FileNotFoundError:
        return None
    return Layer(file, record["digest"], size) if size == record["size"] else None


def keep_newest(folder: Path, pattern: str) -> None:
    """Remove all files of a kind but the newest, and those that may be in use."""
    limit = time.time() - _IN_USE_SECONDS
    dated: list[tuple[float, Path]] = []
    for file in folder.glob(pattern):
        with contextlib.suppress(FileNotFoundError):  # another program tidies too
            dated.append((file.stat().st_mtime, file))
    for used, file in sorted(dated, reverse=True)[_KEPT:]:
        if used < limit:
            file.unlink(missing_ok=True)
            file.with_suffix(".json").unlink(missing_ok=True)


def tree_key(source: Path) -> str:
    """Return a hash of a folder's files and their names, less bytecode."""
    digest = hashlib.sha256()
    for place in sorted(_files(source)):
        content = (source / place).read_bytes()
        digest.update(f"{place}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _files(source: Path) -> list[str]:
    found = []
    for folder, folders, names in os.walk(source):
        folders[:] = [name for name in folders if name != "__pycache__"]
        found += [str((Path(folder) / name).relative_to(source)) for name in names]
    return found
