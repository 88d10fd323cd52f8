"""The charts of this clone, as files and as Helm renders them."""

import json
import re
import shutil
from collections import defaultdict
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


def rendered_each(
    chart: str, rows: Sequence[Mapping[str, Any]], folder: Path
) -> list[list[Manifest]]:
    """Return the objects of a chart with each of these values, by one Helm: it is a chart of many.

    A Helm for each took 0.2 s of CPU.
    """
    shutil.copytree(CHARTS / chart, folder / "charts" / chart)
    version = yaml.safe_load((CHARTS / chart / "Chart.yaml").read_text())["version"]
    aliases = [{"name": chart, "version": version, "repository": "", "alias": f"row{number}"}
               for number in range(len(rows))]  # fmt: skip
    whole = {"apiVersion": "v2", "name": "rows", "version": "0.1.0", "dependencies": aliases}
    (folder / "Chart.yaml").write_text(json.dumps(whole))
    values = {f"row{number}": nested(row) for number, row in enumerate(rows)}
    (folder / "values.yaml").write_text(json.dumps(values))
    text = helm("template", "paddock", folder, "--namespace", NAMESPACE)
    found: defaultdict[int, list[Manifest]] = defaultdict(list)
    for each in re.split(r"^---\n# Source: rows/charts/row(?=\d)", text, flags=re.MULTILINE)[1:]:
        number, _, content = each.partition("/")
        found[int(number)].append(yaml.load(content.partition("\n")[2], Loader=yaml.CSafeLoader))
    return [found[number] for number in range(len(rows))]


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values whose keys are dotted paths as Helm's files have them."""
    found: dict[str, Any] = {}
    for path, value in values.items():
        *groups, name = path.split(".")
        here = found
        for group in groups:
            here[group] = here = dict(here.get(group, {}))
        here[name] = value
    return found


def at_place(manifests: Sequence[Manifest], place: str) -> Any:
    """Return what an object's path holds; None where nothing is. `PART/...` is one part's object.

    Without a part the operator's is looked at first, and whichever there is after it.
    """
    part, _, path = place.rpartition("/")
    kind, *keys = path.split(".")
    alike = [each for each in manifests if each["kind"] == kind]
    named = [each for each in alike if belongs_to(each, part or "operator")]
    here: Any = next(iter(named if part else named + alike), None)
    for key in keys:
        if here is None:
            return None
        here = here[int(key)] if isinstance(here, list) else here.get(key)
    return here


def documents(text: str) -> list[Manifest]:
    return [each for each in yaml.safe_load_all(text) if each]


def of_kind(manifests: Sequence[Manifest], kind: str, part: str = "operator") -> Manifest:
    """Return the object of a kind that belongs to the operator, or to the activator."""
    (found,) = [each for each in manifests
                if each["kind"] == kind and belongs_to(each, part)]  # fmt: skip
    return found


def belongs_to(manifest: Manifest, part: str) -> bool:
    return bool(manifest["metadata"]["name"] == f"paddock-{part}")


def container_of(manifests: Sequence[Manifest], part: str = "operator") -> Manifest:
    """Return the container of the operator, or of the activator."""
    pod: Manifest = of_kind(manifests, "Deployment", part)["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    found: Manifest = container
    return found


def rules_of(manifests: Sequence[Manifest], part: str = "operator") -> list[Manifest]:
    """Return every rule of the operator's roles, or of the activator's."""
    roles = [each for each in manifests if each["kind"] in ("Role", "ClusterRole")]
    return [rule for role in roles if belongs_to(role, part) for rule in role["rules"]]


def rights_of(manifests: Sequence[Manifest], part: str = "operator") -> set[tuple[str, str, str]]:
    """Return verb, group and resource of all rules."""
    return {
        (verb, group, resource)
        for rule in rules_of(manifests, part)
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
