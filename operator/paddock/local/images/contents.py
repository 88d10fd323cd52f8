"""What of an unpacked root file system goes into an image, and what is made for it.

Pure but for the reading of certificates. No shell, no package manager, no set-user-id program: of
`bin` only the named programs, of `etc` and `usr/share` only what a library reads.
"""

import fnmatch
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from paddock import names
from paddock.local.debian import VERSIONS
from paddock.local.images.oci import Folder, Link, Made

CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
_PROGRAM_FOLDERS = ("usr/bin/*", "usr/sbin/*", "usr/libexec/*", "usr/games/*")
_KEPT = (
    "etc/python3*", "etc/python3*/*", "etc/mime.types", "etc/ld.so.conf.d", "etc/ld.so.conf.d/*",
    "usr/share/doc", "usr/share/doc/*", "usr/share/doc/*/copyright",
)  # fmt: skip
"""Of `etc` and `usr/share`, one pattern per depth."""
_LEFT_OUT = (
    "var", "paddock-*", "usr/include", "usr/lib/apt", "usr/lib/dpkg", "usr/lib/systemd",
    "usr/lib/tmpfiles.d", "usr/lib/mime", "usr/lib/valgrind", "usr/lib/*/gconv", "usr/lib/*/*.a",
    "usr/lib/python3*/lib2to3", "usr/lib/python3*/pydoc_data", "usr/lib/python3/dist-packages",
)  # fmt: skip
_FILTERED = ("etc/", "usr/share/")


def leaves_out(programs: Sequence[str]) -> Callable[[str], bool]:
    """Return what tells, by place, whether an image of these programs goes without a file."""

    def is_left_out(place: str) -> bool:
        if _matches(place, _PROGRAM_FOLDERS):
            return place.rpartition("/")[2] not in programs
        if place.startswith(_FILTERED):
            return not _matches(place, _KEPT)
        return _matches(place, _LEFT_OUT)

    return is_left_out


def _matches(place: str, patterns: Sequence[str]) -> bool:
    """Tell whether a pattern of the same depth fits; folders left out are not entered."""
    depth = place.count("/")
    return any(
        pattern.count("/") == depth and fnmatch.fnmatchcase(place, pattern) for pattern in patterns
    )


def made_files(root: Path) -> Mapping[str, Made]:
    """Return what every image has and no package brings: users, /tmp, and what is in it."""
    user = names.NON_ROOT_ID
    versions = [f"{each.name} {each.read_text()}" for each in sorted((root / VERSIONS).iterdir())]
    return {
        "etc/passwd": (
            f"root:x:0:0:root:/:/sbin/nologin\npaddock:x:{user}:{user}::/tmp:/sbin/nologin\n"
        ).encode(),
        "etc/group": f"root:x:0:\npaddock:x:{user}:\n".encode(),
        "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
        "usr/share/paddock/packages": "\n".join([*versions, ""]).encode(),
        "tmp": Folder(0o1777),
        "proc": Folder(),
        "sys": Folder(),
        "dev": Folder(),
    }


def certificate_files(bundle: bytes) -> Mapping[str, Made]:
    """Return the authorities that programs trust, where OpenSSL, Go and Rust look for them."""
    return {
        CERTIFICATES: bundle,
        "usr/lib/ssl/cert.pem": Link(f"/{CERTIFICATES}"),
        "usr/lib/ssl/certs": Link("/etc/ssl/certs"),
    }


def certificate_bundle(*folders: Path) -> bytes:
    """Return all certificates below these folders as one file, as update-ca-certificates does."""
    files = [file for folder in folders for file in sorted(folder.rglob("*.crt"))]
    return b"".join(file.read_bytes().rstrip(b"\n") + b"\n" for file in files)
