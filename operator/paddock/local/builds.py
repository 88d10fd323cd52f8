"""Kubernetes, its node programs and Ollama, built from Go modules once, by version, into the cache.

A component's folder gets its final name only when every binary in it is built, so a killed build is
started again and Go's own cache makes that quick. One builder at a time: the others wait.
"""

import json
import re
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from paddock.local import debian
from paddock.local.folders import cache_folder, locked
from paddock.local.problems import LocalError
from paddock.local.processes import run
from paddock.local.progress import Progress
from paddock.local.toolchain import c_environment, go_command, go_environment


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
    miniaudio: str | None = None
    """Version of the Go module that carries the C header miniaudio.h, which the build needs."""
    staging: str | None = None
    """Version of the module's own staging modules (k8s.io/kubernetes)."""


_MALGO = "github.com/gen2brain/malgo"
_GIGABYTES_EACH = 1.2
"""Room that one build takes in the cache, with what it fetches and compiles on the way."""
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
            ldflags="-X main.version=1.5.2 -linkmode external -extldflags -static",
            tags="seccomp netgo osusergo",
            cgo=True,
            headers=("libseccomp-dev", "libseccomp2"),
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
            name="helm",
            module="helm.sh/helm/v4",
            version="v4.3.1",
            commands=("cmd/helm",),
            expected=290,
            ldflags="-X helm.sh/helm/v4/internal/version.version=v4.3.1",
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
            miniaudio="v0.11.24",
        ),
    )
}


def ensure(names: Iterable[str], report: Progress) -> dict[str, Path]:
    """Return the folder of each component's binaries, building what is missing, in this order."""
    return ensure_all([COMPONENTS[name] for name in names], report)


def ensure_all(components: Sequence[Component], report: Progress) -> dict[str, Path]:
    """Do the same for components that are not ours: servers that tests need."""
    missing = [component for component in components if not _final(component).exists()]
    _refuse_a_full_disk(missing)
    for done, component in enumerate(missing):
        _ensure(component, missing[done:], report)
    return {component.name: _final(component) for component in components}


def _final(component: Component) -> Path:
    return cache_folder() / "bin" / f"{component.name}-{component.version}"


def _refuse_a_full_disk(missing: Sequence[Component]) -> None:
    if not missing:
        return
    folder = cache_folder()
    folder.mkdir(parents=True, exist_ok=True)
    words = disk_refusal(len(missing), shutil.disk_usage(folder).free / 1e9)
    if words is not None:
        raise LocalError(f"{words}: make room in {folder}, or set XDG_CACHE_HOME elsewhere.")


def disk_refusal(missing: int, free_gigabytes: float) -> str | None:
    """Return why so many builds do not fit on the disk, or None."""
    needed = missing * _GIGABYTES_EACH
    if free_gigabytes >= needed:
        return None
    return f"Building {missing} programs needs {needed:.0f} GB, {free_gigabytes:.1f} GB are free"


def _ensure(component: Component, still_missing: Sequence[Component], report: Progress) -> None:
    with locked(component.name):
        final = _final(component)
        if final.exists():
            return  # another builder was first
        started = time.monotonic()
        report.step(component.name, build_words(component, still_missing))
        work = cache_folder() / "work" / component.name
        shutil.rmtree(work, ignore_errors=True)
        (work / "out").mkdir(parents=True)
        _build(component, work)
        final.parent.mkdir(parents=True, exist_ok=True)
        (work / "out").rename(final)
        shutil.rmtree(work, ignore_errors=True)
        report.step(component.name, f"built in {time.monotonic() - started:.0f} s")


def build_words(component: Component, still_missing: Sequence[Component]) -> str:
    """Say what is built and how long it and the rest of this round take on two cores."""
    words = f"building {component.version}, about {component.expected} s"
    if len(still_missing) == 1:
        return words
    minutes = round(sum(each.expected for each in still_missing) / 60)
    return f"{words}; {len(still_missing)} programs to build, about {minutes} min"


def _build(component: Component, work: Path) -> None:
    go = go_command()
    packages = [_package(component, command) for command in component.commands]
    imports = "".join(f'\t_ "{package}"\n' for package in packages)
    (work / "tools.go").write_text(f"//go:build tools\n\npackage tools\n\nimport (\n{imports})\n")
    (work / "go.mod").write_text(go_mod(component, _staging(component, go)))
    environment = {
        **(_c_environment(component) if component.cgo else {}),
        **go_environment(),
        "CGO_ENABLED": "1" if component.cgo else "0",
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


def go_mod(component: Component, staging: Sequence[str]) -> str:
    """Return a module file that requires the component, its staging modules at their version."""
    lines = [f"module paddock.local/{component.name}", "go 1.26.0"]
    lines.append(f"require {component.module} {component.version}")
    lines += [f"replace {name} => {name} {component.staging}" for name in staging]
    return "\n".join(lines) + "\n"


def staging_modules(own: str) -> list[str]:
    """Return the modules that a go.mod replaces by folders of its own repository."""
    return re.findall(r"^\s+(k8s\.io/[a-z-]+) => \./staging", own, re.MULTILINE)


def _staging(component: Component, go: Path) -> list[str]:
    if component.staging is None:
        return []
    environment = go_environment()
    module = f"{component.module}@{component.version}"
    run([go, "mod", "download", module], cwd=Path("/"), env=environment)
    versions = Path(environment["GOMODCACHE"]) / "cache/download" / component.module / "@v"
    return staging_modules((versions / f"{component.version}.mod").read_text())


def _c_environment(component: Component) -> Mapping[str, str]:
    """Return the C compiler's environment of a cgo build."""
    compiler = c_environment()
    root = debian.unpacked(f"headers-{component.name}", component.headers)
    library = root / "usr/lib" / debian.multiarch()
    flags = [f"-I{root / 'usr/include'}"]
    if component.miniaudio:
        flags.append(f"-I{_miniaudio(component.miniaudio)}")
    return {
        **compiler,
        "CGO_CPPFLAGS": " ".join(flags),
        "CGO_LDFLAGS": f"-L{library}",
        "PKG_CONFIG_PATH": str(library / "pkgconfig"),
        "PKG_CONFIG_SYSROOT_DIR": str(root),
    }


def _miniaudio(version: str) -> Path:
    """Return an include folder with miniaudio/miniaudio.h.

    PyPI's package of that name has it too, but pip asks it for what it needs, and it answers only
    where there is a compiler.
    """
    folder = cache_folder() / "headers" / f"malgo-{version}"
    target = folder / "miniaudio" / "miniaudio.h"
    if not target.exists():
        said = run(
            [go_command(), "mod", "download", "-json", f"{_MALGO}@{version}"],
            cwd=Path("/"),
            env=go_environment(),
        )
        module = json.loads(said)
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_suffix(".part")
        shutil.copyfile(Path(module["Dir"]) / target.name, part)
        part.rename(target)
    return folder
