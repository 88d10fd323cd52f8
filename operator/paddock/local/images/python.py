"""Python for an image: the locked wheels, and bytecode made by the image's own interpreter.

The root file system of an image is read-only, so without bytecode every start would compile anew:
1.5 s of processor time for the operator instead of 0.5 s.
"""

import platform
import sys
from pathlib import Path

from paddock.local import debian
from paddock.local.processes import run

VERSION = "3.11"
"""Python of the image's Debian suite."""
PLACE = "usr/lib/python3/dist-packages"
_NEWEST_GLIBC = 36
_OLDEST_GLIBC = 17
_RARELY_IMPORTED = r"/kubernetes/(aio/)?client/(models|api)/"
"""70 MB of generated code of which a start imports a dozen files."""


def install_wheels(requirements: Path, target: Path) -> None:
    """Install the locked wheels for the image's Python, whatever Python runs us."""
    platforms = [part for tag in platform_tags() for part in ("--platform", tag)]
    run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "-q",
         "--no-compile", "--target", target, "--require-hashes", "--no-deps",
         "--only-binary=:all:", "--python-version", VERSION, "--implementation", "cp",
         *platforms, "-r", requirements],
    )  # fmt: skip


def platform_tags() -> list[str]:
    """Return the wheel platforms that the image's C library runs, newest first."""
    machine = platform.machine()
    newest = (
        f"manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)
    )
    return [*newest, f"manylinux2014_{machine}"]


def is_left_out(place: str) -> bool:
    """Tell whether an installed file is of no use in an image: tests, and scripts of pip."""
    parts = place.removeprefix(f"{PLACE}/").split("/")
    return "tests" in parts or parts[0] == "bin" or parts[-1].endswith((".pyi", ".pyx", ".pxd"))


def compile_folder(root: Path, folder: Path, place: str) -> None:
    """Write bytecode beside each module, with the interpreter of an unpacked root file system."""
    libraries = root / "usr/lib" / debian.multiarch()
    loader = next(libraries.glob("ld-linux-*.so.*"))
    run(
        [loader, "--library-path", libraries, root / f"usr/bin/python{VERSION}", "-m",
         "compileall", "-q", "--invalidation-mode", "unchecked-hash", "-s", folder, "-p",
         f"/{place}", "-x", _RARELY_IMPORTED, folder],
        env={"PYTHONHOME": str(root / "usr"), "PYTHONPATH": "", "PYTHONHASHSEED": "0"},
    )  # fmt: skip
