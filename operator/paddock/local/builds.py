"""Kubernetes, its node programs and Ollama, built from Go modules once, by version, into the cache.

A component's folder gets its final name only when every binary in it is built, so a killed build is
started again and Go's own cache makes that quick. One builder at a time: the others wait.
"""

import fcntl
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from paddock.local import debian
from paddock.local.folders import cache_folder
from paddock.local.problems import LocalError
from paddock.local.processes import run
from paddock.local.progress import Progress
from paddock.local.toolchain import go_command


@dataclass(frozen=True, slots=True)
class Component:
    """One Go module and the commands taken from it; `expected` is seconds on two cores, cold."""

    name: str
    module: str
    version: str
    commands: tuple[str, ...]
    expected: int
    ldflags: str = ""
    tags: str = ""
    cgo: bool = False
    headers: tuple[str, ...] = ()
    """Debian packages whose headers the build needs; unpacked into the cache, not installed."""
    staging: str | None = None
    """Version of the module's own staging modules (k8s.io/kubernetes)."""
    extra: dict[str, str] = field(default_factory=dict)


KUBERNETES_VERSION = "v1.36.3"
_KUBERNETES_FLAGS = " ".join(
    f"-X {package}.{name}={value}"
    for package in ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    for name, value in (
        ("gitVersion", KUBERNETES_VERSION),
        ("gitMajor", "1"),
        ("gitMinor", "36"),
    )
)


def _kubernetes(command: str, expected: int) -> Component:
    return Component(
        name=command,
        module="k8s.io/kubernetes",
        version=KUBERNETES_VERSION,
        commands=(f"cmd/{command}",),
        expected=expected,
        ldflags=_KUBERNETES_FLAGS,
        staging=KUBERNETES_VERSION.replace("v1.", "v0."),
    )


COMPONENTS = {
    component.name: component
    for component in (
        _kubernetes("kube-apiserver", 180),
        _kubernetes("kubectl", 30),
        _kubernetes("kube-controller-manager", 45),
        _kubernetes("kube-scheduler", 20),
        _kubernetes("kubelet", 30),
        _kubernetes("kube-proxy", 15),
        Component(
            name="containerd",
            module="github.com/containerd/containerd/v2",
            version="v2.4.2",
            commands=("cmd/containerd", "cmd/containerd-shim-runc-v2", "cmd/ctr"),
            expected=170,
            ldflags="-X github.com/containerd/containerd/v2/version.Version=v2.4.2",
        ),
        Component(
            name="runc",
            module="github.com/opencontainers/runc",
            version="v1.5.2",
            commands=("",),
            expected=30,
            ldflags="-X main.version=1.5.2",
            tags="seccomp",
            cgo=True,
            headers=("libseccomp-dev", "libseccomp2", "pkg-config"),
        ),
        Component(
            name="coredns",
            module="github.com/coredns/coredns",
            version="v1.15.0",
            commands=("",),
            expected=315,
        ),
        Component(
            name="metrics-server",
            module="sigs.k8s.io/metrics-server",
            version="v0.9.0",
            commands=("cmd/metrics-server",),
            expected=120,
        ),
        Component(
            name="ollama",
            module="github.com/ollama/ollama",
            version="v0.17.4",
            commands=("",),
            expected=350,
            ldflags="-X github.com/ollama/ollama/version.Version=0.17.4",
            cgo=True,
            headers=("nlohmann-json3-dev", "libstb-dev"),
            extra={"miniaudio": "1.61"},
        ),
    )
}


def ensure(names: Iterable[str], report: Progress) -> dict[str, Path]:
    """Return the folder of each component's binaries, building what is missing, in this order."""
    return {name: _ensure(COMPONENTS[name], report) for name in names}


def _ensure(component: Component, report: Progress) -> Path:
    final = cache_folder() / "bin" / f"{component.name}-{component.version}"
    if final.exists():
        return final
    with _one_builder(component.name):
        if final.exists():
            return final
        started = time.monotonic()
        report.step(component.name, f"building {component.version}, ~{component.expected} s")
        work = cache_folder() / "work" / component.name
        shutil.rmtree(work, ignore_errors=True)
        (work / "out").mkdir(parents=True)
        _build(component, work)
        final.parent.mkdir(parents=True, exist_ok=True)
        (work / "out").rename(final)
        shutil.rmtree(work, ignore_errors=True)
        report.step(component.name, f"built in {time.monotonic() - started:.0f} s")
    return final


@contextmanager
def _one_builder(name: str) -> Iterator[None]:
    folder = cache_folder() / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / name).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(component: Component, work: Path) -> None:
    go = go_command()
    packages = [_package(component, command) for command in component.commands]
    imports = "".join(f'\t_ "{package}"\n' for package in packages)
    (work / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n")
    (work / "go.mod").write_text(_go_mod(component, go))
    environment = {
        **_compiler(component),
        "CGO_ENABLED": "1" if component.cgo else "0",
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
    }
    run([go, "mod", "tidy"], cwd=work, env=environment)
    for package, command in zip(packages, component.commands, strict=True):
        output = work / "out" / (Path(command).name or component.name)
        run(
            ["nice", "-n", "5", go, "build", "-trimpath", "-tags", component.tags,
             "-ldflags", f"-s -w {component.ldflags}", "-o", output, package],
            cwd=work,
            env=environment,
        )  # fmt: skip


def _package(component: Component, command: str) -> str:
    return f"{component.module}/{command}" if command else component.module


def _go_mod(component: Component, go: Path) -> str:
    lines = [f"module paddock.local/{component.name}", "go 1.26.0"]
    lines.append(f"require {component.module} {component.version}")
    if component.staging:
        lines += [
            f"replace {name} => {name} {component.staging}" for name in _staging(component, go)
        ]
    return "\n".join(lines) + "\n"


def _staging(component: Component, go: Path) -> list[str]:
    run([go, "mod", "download", f"{component.module}@{component.version}"], cwd=Path("/"))
    cache = Path(run([go, "env", "GOMODCACHE"]).strip())
    own = cache / "cache/download" / component.module / "@v" / f"{component.version}.mod"
    return re.findall(r"^\s+(k8s\.io/[a-z-]+) => \./staging", own.read_text(), re.MULTILINE)


def _compiler(component: Component) -> dict[str, str]:
    """Return the C compiler's environment of a cgo build."""
    if not component.cgo:
        return {}
    if shutil.which("gcc") is None or shutil.which("g++") is None:
        raise LocalError(
            f"{component.name} needs gcc and g++ to be built: install Debian's build-essential"
        )
    root = debian.unpacked(f"headers-{component.name}", component.headers)
    include, library = root / "usr/include", root / "usr/lib/x86_64-linux-gnu"
    flags = [f"-I{include}"]
    if version := component.extra.get("miniaudio"):
        flags.append(f"-I{_miniaudio(version)}")
    return {
        "CGO_CPPFLAGS": " ".join(flags),
        "CGO_LDFLAGS": f"-L{library}",
        "PKG_CONFIG_PATH": str(library / "pkgconfig"),
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        "LD_LIBRARY_PATH": str(library),
        "PATH": f"{root / 'usr/bin'}:{os.environ['PATH']}",
    }


def _miniaudio(version: str) -> Path:
    """Return an include folder with miniaudio/miniaudio.h, from PyPI's `miniaudio` source."""
    folder = cache_folder() / "headers" / f"miniaudio-{version}"
    target = folder / "miniaudio" / "miniaudio.h"
    if not target.exists():
        with debian.scratch("miniaudio") as scratch:
            run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", ":all:",
                 f"miniaudio=={version}", "-d", scratch])  # fmt: skip
            archive = next(scratch.glob("miniaudio-*.tar.gz"))
            run(["tar", "-xzf", archive, "-C", scratch])
            header = next(scratch.rglob("miniaudio.h"))
            target.parent.mkdir(parents=True, exist_ok=True)
            header.rename(target)
    return folder
