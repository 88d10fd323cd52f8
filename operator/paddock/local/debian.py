"""Debian packages unpacked into the cache; nothing is installed on the machine.

apt runs with its own state, so that the machine's lists and locks are left alone. Unpacked only:
no maintainer script runs.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from paddock.local.folders import cache_folder
from paddock.local.problems import LocalError
from paddock.local.processes import run

VERSIONS = "paddock-versions"
"""Folder of an unpacked root that tells each package's version."""


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


def unpacked(name: str, packages: Sequence[str], *, suite: str | None = None) -> Path:
    """Return a folder with exactly these packages unpacked (suite None: the machine's own)."""
    final = cache_folder() / "debian" / name
    if not final.exists():
        _unpack(final, packages, suite, closure=False)
    return final


def root_file_system(name: str, packages: Sequence[str], *, suite: str) -> Path:
    """Return a folder with these packages and all they depend on, from an empty machine."""
    final = cache_folder() / "debian" / name
    if not final.exists():
        _unpack(final, packages, suite, closure=True)
    return final


def _unpack(final: Path, packages: Sequence[str], suite: str | None, *, closure: bool) -> None:
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise LocalError("the embedded cluster takes parts from Debian: it needs apt-get and dpkg")
    with scratch(final.name) as folder:
        options = _apt_options(folder, suite)
        run(["apt-get", *options, "update", "-qq"])
        archives = folder / "archives"
        if closure:
            run(["apt-get", *options, "install", "-qq", "-y", "--download-only",
                 "--no-install-recommends", *packages])  # fmt: skip
        else:
            run(["apt-get", *options, "download", "-qq", *packages], cwd=archives)
        root = folder / "root"
        root.mkdir()
        for merged in ("bin", "sbin", "lib", "lib64"):
            (root / "usr" / merged).mkdir(parents=True, exist_ok=True)
            (root / merged).symlink_to(f"usr/{merged}")
        (root / VERSIONS).mkdir()
        for archive in sorted(archives.glob("*.deb")):
            package, version = archive.name.split("_")[:2]
            (root / VERSIONS / package).write_text(version.replace("%3a", "-"))
            _extract(archive, root)
        final.parent.mkdir(parents=True, exist_ok=True)
        root.rename(final)


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
    options = {
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
            f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {_mirror()} "
            f"{suite} main\n"
        )
        options |= {"Dir::Etc::sourcelist": sources, "Dir::Etc::sourceparts": "-"}
    return [part for key, value in options.items() for part in ("-o", f"{key}={value}")]


def _mirror() -> str:
    """Return the archive the machine itself uses."""
    targets = run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)"])
    for line in targets.splitlines():
        address, _, label = line.partition(" ")
        if label == "Debian":
            return address
    raise LocalError("no Debian archive is configured on this machine (apt's sources are empty)")
