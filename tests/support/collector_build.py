"""A stock OpenTelemetry Collector of the parts a pool's configuration names, by its own builder.

Built once, by version and parts, into the cache. Prometheus' discovery of clouds is left out: it is
nine tenths of the build, and a pool's targets are a file.
"""

import hashlib
from pathlib import Path

import yaml

from paddock.local import builds, debian
from paddock.local.folders import cache_folder, locked
from paddock.local.processes import run
from paddock.local.progress import Progress
from paddock.local.toolchain import go_command, go_environment
from paddock.wire import Json

VERSION, PROVIDERS = "v0.160.0", "v1.66.0"
BUILDER = builds.Component(
    name="collector-builder",
    module="go.opentelemetry.io/collector/cmd/builder",
    version=VERSION,
    commands=("",),
    expected=15,
)
_CORE = "go.opentelemetry.io/collector"
_CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"
_TAGS = "remove_all_sd"
_PARTS = {
    "receivers": (f"{_CORE}/receiver/otlpreceiver", f"{_CONTRIB}/receiver/prometheusreceiver"),
    "processors": (
        f"{_CORE}/processor/batchprocessor",
        f"{_CORE}/processor/memorylimiterprocessor",
        f"{_CONTRIB}/processor/filterprocessor",
        f"{_CONTRIB}/processor/transformprocessor",
    ),
    "exporters": (
        f"{_CORE}/exporter/debugexporter",
        f"{_CORE}/exporter/otlpexporter",
        f"{_CORE}/exporter/otlphttpexporter",
        f"{_CONTRIB}/exporter/prometheusremotewriteexporter",
    ),
}
_PROVIDERS = (f"{_CORE}/confmap/provider/fileprovider", f"{_CORE}/confmap/provider/envprovider")
NAME = "otelcol"


def ensure_collector(report: Progress) -> Path:
    """Return the Collector's program, building it if need be: five minutes on two cores."""
    plan = build_plan()
    identity = hashlib.sha256(f"{plan}{_TAGS}".encode()).hexdigest()[:8]
    final = cache_folder() / "bin" / f"{NAME}-{VERSION}-{identity}" / NAME
    if not final.exists():
        builder = builds.ensure_all([BUILDER], report)[BUILDER.name]
        with locked(NAME):
            if not final.exists():
                report.step(NAME, f"building {VERSION}, about 300 s")
                _build(next(builder.iterdir()), plan, final)
    return final


def build_plan() -> str:
    """Return what the builder is told."""
    parts: dict[str, Json] = {
        kind: [{"gomod": f"{module} {VERSION}"} for module in modules]
        for kind, modules in _PARTS.items()
    }
    plan: dict[str, Json] = {
        "dist": {"name": NAME, "version": VERSION.removeprefix("v"), "output_path": "source"},
        **parts,
        "providers": [{"gomod": f"{module} {PROVIDERS}"} for module in _PROVIDERS],
    }
    text: str = yaml.safe_dump(plan, sort_keys=False)
    return text


def _build(builder: Path, plan: str, final: Path) -> None:
    go = go_command()
    environment = {
        **go_environment(),
        "CGO_ENABLED": "0",
        "PATH": f"{go.parent}:/usr/bin:/bin",
    }
    with debian.scratch(NAME) as scratch:
        (scratch / "plan.yaml").write_text(plan)
        run([builder, "--config", "plan.yaml", "--skip-compilation"],
            cwd=scratch, env=environment)  # fmt: skip
        made = scratch / NAME
        run(["nice", "-n", "5", go, "build", "-trimpath", "-tags", _TAGS, "-ldflags", "-s -w",
             "-o", made, "."], cwd=scratch / "source", env=environment)  # fmt: skip
        final.parent.mkdir(parents=True, exist_ok=True)
        made.rename(final)
