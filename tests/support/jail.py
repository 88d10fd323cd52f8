"""Become a program as a pod would run it: its own root, read-only, non-root, one writable /tmp.

Run under `unshare --mount`, with a JSON plan as the one argument. Every mount ends with the
program, because the mount namespace does.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

READ_ONLY = "remount,ro,bind"
HOSTS = "127.0.0.1 localhost\n::1 localhost\n"
"""As a kubelet writes it. Ollama asks the kernel for a free port of localhost for its runner, and
where that name is unknown draws any number, which another process may hold."""


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)


def bind(source: Path, target: Path, *, writable: bool = False) -> None:
    target.mkdir(parents=True, exist_ok=True)
    mount("--rbind", str(source), str(target))
    if not writable:
        mount("-o", READ_ONLY, str(target))


def enter(root: Path, system: Path, folders: dict[str, str]) -> None:
    mount("-t", "tmpfs", "-o", "mode=0755", "jail", str(root))
    bind(system / "usr", root / "usr")
    for name in ("bin", "sbin", "lib", "lib64"):
        (root / name).symlink_to(f"usr/{name}")
    for name in ("dev", "proc"):
        bind(Path("/") / name, root / name, writable=True)
    for target, source in folders.items():
        bind(Path(source), root / target.lstrip("/"))
    (root / "etc").mkdir()
    (root / "etc" / "hosts").write_text(HOSTS)
    (root / "tmp").mkdir()
    mount("-t", "tmpfs", "-o", "mode=1777", "scratch", str(root / "tmp"))
    mount("-o", "remount,ro", str(root))
    os.chroot(root)
    os.chdir("/")


def main() -> None:
    plan = json.loads(sys.argv[1])
    enter(Path(plan["root"]), Path(plan["system"]), plan["folders"])
    if plan["user"] is not None:
        os.setgroups([])
        os.setgid(plan["user"])
        os.setuid(plan["user"])
    os.execve(plan["command"][0], plan["command"], plan["env"])  # noqa: S606 - becomes the program


if __name__ == "__main__":
    main()
