"""Debian packages unpacked into the cache; nothing is installed on the machine.

apt runs with its own state, so that the machine's lists and locks are left alone. Unpacked only:
no maintainer script runs.
"""

import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paddock.local.folders import cache_folder, locked
from paddock.local.problems import LocalError
from paddock.local.processes import run

VERSIONS = "paddock-versions"
"""Folder of an unpacked root that tells each package's version."""


_LIBRARIES = "paddock-libraries"
"""Folder of an unpacked root with links to its libraries, less those of the C library itself."""


@dataclass(frozen=True, slots=True)
class Tools:
    """Programs unpacked with all they need; they run on this machine's own C library."""

    root: Path

    @property
    def env(self) -> Mapping[str, str]:
        """Return the environment in which the programs find their libraries."""
        return {"LD_LIBRARY_PATH": str(self.root / _LIBRARIES)}

    @property
    def path(self) -> tuple[Path, ...]:
        """Return the folders of the programs."""
        return (self.root / "usr/sbin", self.root / "usr/bin")

    def program(self, name: str) -> Path:
        """Return the path of one program."""
        return next(folder / name for folder in self.path if (folder / name).exists())


def multiarch() -> str:
    """Return Debian's name of this machine's architecture, as in /usr/lib/NAME."""
    return f"{platform.machine()}-linux-gnu"


def tools(name: str, packages: Sequence[str]) -> Tools:
    """Return programs of the machine's own Debian suite, without installing them."""
    return Tools(_made(f"tools-{name}", Wanted(tuple(packages), libraries=True)))


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give a folder of the cache that is gone afterwards."""
    parent = cache_folder() / "work"
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def unpacked(name: str, packages: Sequence[str]) -> Path:
    """Return a folder with exactly these packages of the machine's own suite unpacked."""
    return _made(name, Wanted(tuple(packages), closure=False))


def root_file_system(name: str, packages: Sequence[str], *, suite: str) -> Path:
    """Return a folder with these packages and all they depend on, from an empty machine."""
    return _made(name, Wanted(tuple(packages), suite=suite))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Packages, with or without what they depend on; suite None is the machine's own."""

    packages: tuple[str, ...]
    suite: str | None = None
    closure: bool = True
    libraries: bool = False


def _made(name: str, wanted: Wanted) -> Path:
    final = cache_folder() / "debian" / name
    if final.exists():
        return final
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise LocalError(
            "The embedded cluster takes parts from Debian packages, so it needs apt-get and dpkg; "
            "on this machine use Docker or Podman with kind, or name a context."
        )
    with locked(f"debian-{name}"), scratch(name) as folder:
        if not final.exists():
            _download(folder, wanted)
            root = _assembled(folder)
            if wanted.libraries:
                _link_libraries(root, folder / "archives")
            final.parent.mkdir(parents=True, exist_ok=True)
            root.rename(final)
    return final


def _download(folder: Path, wanted: Wanted) -> None:
    options = _apt_options(folder, wanted.suite)
    run(["apt-get", *options, "update", "-qq"])
    if wanted.closure:
        run(["apt-get", *options, "install", "-qq", "-y", "--download-only",
             "--no-install-recommends", *wanted.packages])  # fmt: skip
    else:
        run(["apt-get", *options, "download", "-qq", *wanted.packages], cwd=folder / "archives")


def _assembled(folder: Path) -> Path:
    root = folder / "root"
    root.mkdir()
    for merged in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / merged).mkdir(parents=True, exist_ok=True)
        (root / merged).symlink_to(f"usr/{merged}")
    (root / VERSIONS).mkdir()
    for archive in sorted((folder / "archives").glob("*.deb")):
        package, version = archive.name.split("_")[:2]
        (root / VERSIONS / package).write_text(version.replace("%3a", "-"))
        _extract(archive, root)
    return root


def _link_libraries(root: Path, archives: Path) -> None:
    """Link every shared library but the C library's own, which must be the machine's."""
    archive = next(archives.glob("libc6_*.deb"))
    own = {line.rpartition("/")[2] for line in run(["dpkg-deb", "--contents", archive]).split()}
    (root / _LIBRARIES).mkdir()
    for library in (root / "usr/lib" / multiarch()).glob("*.so*"):
        if library.name not in own:
            (root / _LIBRARIES / library.name).symlink_to(
                f"../usr/lib/{multiarch()}/{library.name}"
            )


def _extract(archive: Path, root: Path) -> None:
    """Unpack one package through the merged /usr links, as dpkg itself does."""
    tarball = archive.with_suffix(".tar")
    with tarball.open("wb") as stream:
        subprocess.run(["dpkg-deb", "--fsys-tarfile", archive], stdout=stream, check=True)
    run(["tar", "-xf", tarball, "-C", root, "--keep-directory-symlink", "--no-same-owner"])
    tarball.unlink()


def _apt_options(folder: Path, suite: str | None) -> list[str]:
    for name in ("state/lists/partial", "archives/partial", "cache", "etc"):
        (folder / name).mkdir(parents=True)
    (folder / "status").touch()
    options: dict[str, str | Path] = {
        "Dir::State": folder / "state",
        "Dir::State::Lists": folder / "state/lists",
        "Dir::State::status": folder / "status",
        "Dir::Cache": folder / "cache",
        "Dir::Cache::archives": folder / "archives",
        "APT::Sandbox::User": "root",
        "APT::Install-Suggests": "false",
        "Acquire::Languages": "none",
    }
    if suite is not None:
        sources = folder / "etc/suite.list"
        sources.write_text(
            f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
            f"{_mirror(_flags(options))} {suite} main\n"
        )
        options |= {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-"}
    return _flags(options)


def _flags(options: Mapping[str, str | Path]) -> list[str]:
    return [part for key, value in options.items() for part in ("-o", f"{key}={value}")]


def _mirror(options: Sequence[str]) -> str:
    """Return the archive that the machine's own sources name.

    apt tells archives apart by their lists, which a machine just installed has none of: they are
    fetched into our own state first.
    """
    run(["apt-get", *options, "update", "-qq"])
    targets = run(["apt-get", *options, "indextargets", "--format", "$(REPO_URI) $(LABEL)"])
    for line in targets.splitlines():
        address, _, label = line.partition(" ")
        if label == "Debian":
            return address
    raise LocalError("no Debian archive is configured on this machine (apt's sources are empty)")
