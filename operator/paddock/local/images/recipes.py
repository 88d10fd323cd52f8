"""The three images of the embedded cluster: operator (also puller), llama.cpp, Ollama.

Each is a stack of layers made once per input; the operator's last layer is our own package, so a
code change rewrites only that. The Dockerfiles in `images/` say the same for a registry.
"""

import hashlib
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import paddock
from paddock import names
from paddock.local import builds, debian
from paddock.local.folders import cache_folder
from paddock.local.images.oci import Image, Layer, write_archive, write_layer
from paddock.local.processes import run
from paddock.local.progress import Progress
from paddock.settings import VERSION

PYTHON_SUITE = "bookworm"
PYTHON_VERSION = "3.11"
PYTHON_PACKAGES = ("python3", "libpython3.11-stdlib")
LLAMA_SUITE = "sid"
LLAMA_PACKAGES = ("llama.cpp-tools",)
OLLAMA_PACKAGES = ("libstdc++6", "libgcc-s1", "libc6")
_PACKAGES_PLACE = "usr/lib/python3/dist-packages"
_UNWANTED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/games")
_SHELLS = (
    "usr/bin/dash",
    "usr/bin/sh",
    "usr/bin/bash",
    "usr/bin/apt",
    "usr/bin/dpkg",
    "usr/bin/perl",
)
_HASH = 12


@dataclass(frozen=True, slots=True)
class Built:
    """An image by its full name, and the archive that holds it."""

    name: str
    archive: Path


def operator_image(report: Progress) -> Built:
    """Return the image of the operator and the puller, made from this very package."""
    source = Path(paddock.__file__).parent
    name = f"localhost/paddock/operator:{VERSION}-{_tree_hash(source)}"
    return _built(name, report, lambda work: _operator_layers(source, work), _OPERATOR)


def llama_cpp_image(report: Progress) -> Built:
    """Return the CPU image of llama-server, from Debian's package."""
    root = debian.root_file_system(f"llama-cpp-{LLAMA_SUITE}", LLAMA_PACKAGES, suite=LLAMA_SUITE)
    version = _debian_version(root, "llama.cpp-tools")
    name = f"localhost/paddock/llama-cpp:{version}"
    return _built(name, report, lambda work: (_base(root, work),), ("/usr/bin/llama-server",))


def ollama_image(report: Progress) -> Built:
    """Return the CPU image of Ollama, built from its Go module."""
    version = builds.COMPONENTS["ollama"].version.removeprefix("v")

    def layers(work: Path) -> tuple[Layer, ...]:
        binary = builds.ensure(["ollama"], report)["ollama"] / "ollama"
        root = debian.root_file_system("ollama-base", OLLAMA_PACKAGES, suite=PYTHON_SUITE)
        return (_base(root, work), write_layer(work / "ollama.tar", [(binary, "usr/bin/ollama")]))

    return _built(f"localhost/paddock/ollama:{version}", report, layers, ("/usr/bin/ollama",))


_OPERATOR = ("/usr/bin/python3", "-m", "paddock")


def _built(
    name: str,
    report: Progress,
    layers: Callable[[Path], tuple[Layer, ...]],
    entrypoint: tuple[str, ...],
) -> Built:
    file = cache_folder() / "images" / f"{name.rpartition('/')[2].replace(':', '-')}.tar"
    if not file.exists():
        report.step(name, "assembling")
        with debian.scratch("image") as work:
            image = Image(name, layers(work), entrypoint, env=("HOME=/tmp",))
            write_archive(image, work / "image.tar")
            file.parent.mkdir(parents=True, exist_ok=True)
            (work / "image.tar").rename(file)
    return Built(name, file)


def _operator_layers(source: Path, work: Path) -> tuple[Layer, ...]:
    root = debian.root_file_system(f"python-{PYTHON_SUITE}", PYTHON_PACKAGES, suite=PYTHON_SUITE)
    packages = _site_packages(source.parent / "requirements" / "runtime.txt")
    return (
        _base(root, work),
        write_layer(work / "packages.tar", [(packages, _PACKAGES_PLACE)]),
        write_layer(work / "paddock.tar", [(source, f"{_PACKAGES_PLACE}/paddock")]),
    )


def _site_packages(requirements: Path) -> Path:
    """Install the locked wheels for the image's Python into the cache."""
    digest = hashlib.sha256(requirements.read_bytes()).hexdigest()[:_HASH]
    final = cache_folder() / "site-packages" / digest
    if not final.exists():
        with debian.scratch("packages") as work:
            run(
                [sys.executable, "-m", "pip", "install", "-q", "--no-compile", "--target",
                 work / "packages", "--require-hashes", "--no-deps", "--only-binary=:all:",
                 "--python-version", PYTHON_VERSION, "--implementation", "cp",
                 *_platforms(), "-r", requirements],
            )  # fmt: skip
            for useless in ("tests", "test"):
                for folder in (work / "packages").glob(f"*/{useless}"):
                    shutil.rmtree(folder)
            final.parent.mkdir(parents=True, exist_ok=True)
            (work / "packages").rename(final)
    return final


def _platforms() -> list[str]:
    known = ("manylinux2014_x86_64", "manylinux_2_17_x86_64", "manylinux_2_24_x86_64",
             "manylinux_2_27_x86_64", "manylinux_2_28_x86_64", "manylinux_2_34_x86_64")  # fmt: skip
    return [part for platform in known for part in ("--platform", platform)]


def _base(root: Path, work: Path) -> Layer:
    """Make the first layer: the packages less what no program needs, and a non-root user."""
    for useless in (*_UNWANTED, *_SHELLS):
        target = root / useless
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink(missing_ok=True)
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    (root / "etc").mkdir(exist_ok=True)
    user = names.NON_ROOT_ID
    (root / "etc/passwd").write_text(
        f"root:x:0:0::/:/sbin/nologin\npaddock:x:{user}:{user}::/tmp:/sbin/nologin\n"
    )
    (root / "etc/group").write_text(f"root:x:0:\npaddock:x:{user}:\n")
    return write_layer(work / "base.tar", [(root, "")])


def _debian_version(root: Path, package: str) -> str:
    """Return a tag made of the unpacked package's version."""
    return (root / "paddock-versions" / package).read_text().replace("+", "-").replace("~", "-")


def _tree_hash(source: Path) -> str:
    digest = hashlib.sha256()
    for file in _files(source):
        digest.update(str(file.relative_to(source)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:_HASH]


def _files(source: Path) -> Sequence[Path]:
    return sorted(
        file for file in source.rglob("*") if file.is_file() and "__pycache__" not in file.parts
    )
