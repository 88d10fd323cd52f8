"""The charts of this clone, as files and as Helm renders them."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from paddock.local import builds
from paddock.local.folders import cache_folder
from paddock.local.processes import run
from paddock.local.progress import Lines

ROOT = Path(__file__).resolve().parents[2]
CHARTS = ROOT / "charts"
NAMESPACE = "paddock-system"
Manifest = dict[str, Any]


@cache
def helm_program() -> Path:
    return builds.ensure(["helm"], Lines())["helm"] / "helm"


def helm(*arguments: str | Path, kubeconfig: Path | None = None) -> str:
    own = {
        f"HELM_{each}_HOME": str(cache_folder() / "helm") for each in ("CACHE", "CONFIG", "DATA")
    }
    environment = {**own, "KUBECONFIG": str(kubeconfig or "/dev/null")}
    return run([helm_program(), *arguments], env=environment)


def setting(values: Mapping[str, Any]) -> list[str]:
    """Return values as Helm's arguments; keys are dotted paths."""
    return [f"--set-json={path}={json.dumps(value)}" for path, value in values.items()]


def rendered(
    chart: str, values: Mapping[str, Any] | None = None, *, namespace: str = NAMESPACE
) -> list[Manifest]:
    """Return the objects of a chart with these values."""
    text = helm(
        "template", "paddock", CHARTS / chart, "--namespace", namespace, *setting(values or {})
    )
    return documents(text)


def documents(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(manifests: Sequence[Manifest], kind: str) -> Manifest:
    (found,) = [each for each in manifests if each["kind"] == kind]
    return found


def container_of(manifests: Sequence[Manifest]) -> Manifest:
    """Return the operator's container."""
    pod: Manifest = of_kind(manifests, "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    found: Manifest = container
    return found


def rules_of(manifests: Sequence[Manifest]) -> list[Manifest]:
    """Return every rule of every role among these objects."""
    roles = [each for each in manifests if each["kind"] in ("Role", "ClusterRole")]
    return [rule for role in roles for rule in role["rules"]]
