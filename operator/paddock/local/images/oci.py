"""Write OCI image archives: reproducible layers, config, manifest, index.

Small and ours: the alternatives need a container engine. Format: the OCI image specification 1.1;
the annotation io.containerd.image.name gives the imported image its full name.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from paddock import names
from paddock.wire import Json

_CHUNK = 1 << 20


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


def write_layer(file: Path, trees: Sequence[tuple[Path, str]]) -> Layer:
    """Write folders or files as one layer, each under its place in the image.

    Sorted names, root as owner and no times: the same trees give the same bytes.
    """
    with tarfile.open(file, "w", format=tarfile.PAX_FORMAT) as tar:
        for source, place in trees:
            _add(tar, source, place.strip("/"))
    return Layer(file, _digest_of(file), file.stat().st_size)


def _add(tar: tarfile.TarFile, source: Path, place: str) -> None:
    if place:
        tar.add(source, arcname=place, recursive=False, filter=_neutral)
    if source.is_dir() and not source.is_symlink():
        for child in sorted(source.iterdir()):
            if child.name != "__pycache__":
                _add(tar, child, f"{place}/{child.name}" if place else child.name)


def _neutral(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if not (entry.isfile() or entry.isdir() or entry.issym() or entry.islnk()):
        return None
    entry.uid = entry.gid = entry.mtime = 0
    entry.uname = entry.gname = ""
    entry.mode &= 0o1777  # no image of ours carries set-user-id programs
    return entry


def write_archive(image: Image, file: Path) -> None:
    """Write the image as an OCI archive that `ctr images import` and others read."""
    config: dict[str, Json] = {
        "architecture": "amd64",
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
    config_bytes = _json(config)
    manifest: dict[str, Json] = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": _descriptor("application/vnd.oci.image.config.v1+json", config_bytes),
        "layers": [
            {
                "mediaType": "application/vnd.oci.image.layer.v1.tar",
                "digest": layer.digest,
                "size": layer.size,
            }
            for layer in image.layers
        ],
    }
    manifest_bytes = _json(manifest)
    entry = _descriptor("application/vnd.oci.image.manifest.v1+json", manifest_bytes)
    entry["annotations"] = {
        "io.containerd.image.name": image.name,
        "org.opencontainers.image.ref.name": image.name.rpartition(":")[2],
    }
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    index: dict[str, Json] = {"schemaVersion": 2, "manifests": [entry]}
    with tarfile.open(file, "w") as tar:
        _add_bytes(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add_bytes(tar, "index.json", _json(index))
        for content in (config_bytes, manifest_bytes):
            _add_bytes(tar, f"blobs/sha256/{hashlib.sha256(content).hexdigest()}", content)
        for layer in image.layers:
            _add_file(tar, layer)


def _json(value: Json) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _descriptor(media_type: str, content: bytes) -> dict[str, Json]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _add_file(tar: tarfile.TarFile, layer: Layer) -> None:
    entry = tarfile.TarInfo(f"blobs/sha256/{layer.digest.removeprefix('sha256:')}")
    entry.size = layer.size
    with layer.file.open("rb") as stream:
        tar.addfile(entry, stream)


def _digest_of(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
    return f"sha256:{digest.hexdigest()}"
