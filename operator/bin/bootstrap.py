"""Make the project's virtual environment in the user's cache, with the locked and hashed packages.

Standard library only: it runs before anything is installed. One environment per lock file and
Python; a killed start is begun anew.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OLDEST = (3, 11)


def environment(lock: str) -> Path:
    """Return the environment of a lock file in operator/requirements, making it if needed."""
    if sys.version_info < OLDEST:
        sys.exit(f"Paddock needs Python {OLDEST[0]}.{OLDEST[1]} or newer, this is {sys.version}.")
    requirements = ROOT / "operator" / "requirements" / lock
    identity = requirements.read_bytes() + f"{sys.version}{ROOT}".encode()
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "paddock" / "venvs"
    final = base / hashlib.sha256(identity).hexdigest()[:16]
    base.mkdir(parents=True, exist_ok=True)
    with (base / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (final / "complete").exists():
            _make(final, requirements)
    return final


def _make(final: Path, requirements: Path) -> None:
    print("paddock: installing Python packages, once", file=sys.stderr, flush=True)  # noqa: T201 - a person waits
    shutil.rmtree(final, ignore_errors=True)
    venv.create(final, with_pip=True)
    pip = [final / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    subprocess.run(
        [*pip, "install", "-q", "--require-hashes", "--no-deps", "-r", requirements], check=True
    )
    site = next((final / "lib").glob("python3*/site-packages"))
    (site / "paddock-checkout.pth").write_text(f"{ROOT / 'operator'}\n")
    (final / "complete").touch()
