"""Write OCI image archives: reproducible layers, config, manifest, index.

Small and ours: the alternatives need a container engine. Format: the OCI image specification 1.1;
the annotation io.containerd.image.name gives the imported image its full name.
"""

import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paddock import names
from paddock.local.problems import LocalError
from paddock.wire import Json

_CHUNK = 1 << 20
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link made for the image."""

    target: str


@dataclass(frozen=True, slots=True)
class Folder:
    """An empty folder made for the image."""

    mode: int = 0o755


Made = bytes | Link | Folder
"""What is made for a layer instead of read from this machine; bytes are a file's content."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer as an uncompressed tar file; its digest is also its diff id."""

    file: Path
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Image:
    """What runs: name, layers, command and the numeric user."""

    name: str
    layers: tuple[Layer, ...]
    entrypoint: tuple[str, ...]
    env: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    user: str = f"{names.NON_ROOT_ID}:{names.NON_ROOT_ID}"
    working_dir: str = "/"


def architecture() -> str:
    """Return this machine's architecture as images name it."""
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise LocalError(f"Images cannot be assembled on {machine}, only on x86_64 and aarch64.")
    return _ARCHITECTURES[machine]


def _nothing(_place: str) -> bool:
    return False


def write_layer(
    file: Path,
    trees: Sequence[tuple[Path, str]],
    *,
    made: Mapping[str, Made] | None = None,
    leaves_out: Callable[[str], bool] = _nothing,
) -> Layer:
    """Write folders or files, each under its place, and what is made for the image, as one layer.

    Sorted names, root as owner, no times, and modes that any user can read whatever this machine's
    umask is: the same content gives the same bytes. `leaves_out` is asked by place in the image.
    """
    entries: dict[str, Path | Made] = {}
    for source, place in trees:
        entries |= _walk(source, place.strip("/"), leaves_out)
    entries |= made or {}
    for place in tuple(entries):
        for parent in Path(place).parents:
            entries.setdefault(str(parent), Folder())
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for place in sorted(entries.keys() - {".", ""}):
            _add(tar, place, entries[place])
    return Layer(file, digest_of(file), file.stat().st_size)


def _walk(
    source: Path, place: str, leaves_out: Callable[[str], bool]
) -> Iterator[tuple[str, Path]]:
    if place and leaves_out(place):
        return
    yield place, source
    if source.is_dir() and not source.is_symlink():
        for child in source.iterdir():
            yield from _walk(child, f"{place}/{child.name}" if place else child.name, leaves_out)


def _add(tar: tarfile.TarFile, place: str, content: Path | Made) -> None:
    if isinstance(content, Path):
        tar.add(content, arcname=place, recursive=False, filter=_neutral)
        return
    entry = tarfile.TarInfo(place)
    match content:
        case Link(target):
            entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, target, 0o777
            tar.addfile(entry)
        case Folder(mode):
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            tar.addfile(entry)
        case bytes():
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _neutral(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (entry.isfile() or entry.isdir() or entry.issym() or entry.islnk()):
        return None
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    runs = entry.isdir() or bool(entry.mode & 0o100)
    entry.mode = 0o777 if entry.issym() else 0o755 if runs else 0o644
    return entry


def image_config(image: Image) -> bytes:
    """Return the image's configuration; its digest is the identity of everything but the name."""
    config: dict[str, Json] = {
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": image.user,
            "Entrypoint": list(image.entrypoint),
            "Env": ["PATH=/usr/local/bin:/usr/bin:/bin", *image.env],
            "WorkingDir": image.working_dir,
            "Labels": dict(image.labels),
        },
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in image.layers]},
    }
    return _json(config)


def write_archive(image: Image, file: Path) -> None:
    """Write the image as an OCI archive that `ctr images import` and others read."""
    config = image_config(image)
    layers: list[Json] = [
        {"mediaType": _LAYER, "digest": layer.digest, "size": layer.size} for layer in image.layers
    ]
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": layers,
        }
    )
    entry = _descriptor(_MANIFEST, manifest)
    entry["annotations"] = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
    }
    entry["platform"] = {"architecture": architecture(), "os": "linux"}
    index: dict[str, Json] = {"schemaVersion": 2, "manifests": [entry]}
    with tarfile.open(file, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json(index))
        for content in (config, manifest):
            _add(tar, f"blobs/sha256/{hashlib.sha256(content).hexdigest()}", content)
        for layer in {layer.digest: layer for layer in image.layers}.values():
            _add_layer(tar, layer)


def _json(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, Json]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _add_layer(tar: tarfile.TarFile, layer: Layer) -> None:
    entry = tarfile.TarInfo(f"blobs/sha256/{layer.digest.removeprefix('sha256:')}")
    entry.size = layer.size
    with layer.file.open("rb") as stream:
        tar.addfile(entry, stream)


def digest_of(file: Path) -> str:
    """Return the sha256 digest of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
