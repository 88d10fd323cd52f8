"""The operator and the activator as Kubernetes objects: their chart's committed rendering.

The chart is the one description; `paddock charts` renders it into manifests/install. Reads files of
the clone only.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import yaml

from paddock.local.problems import LocalError
from paddock.raw import items
from paddock.wire import Json, Manifest

NAMESPACE = "paddock-system"
NAME = "paddock-operator"
_RENDERED = Path(__file__).resolve().parents[3] / "manifests" / "install" / "cluster"
_FILES = ("namespace.yaml", "paddock.yaml")


def build_install(
    image: str, arguments: Sequence[str], api_ports: Sequence[int] = ()
) -> Sequence[Manifest]:
    """Return everything an operator for all namespaces needs, and its activator, but the CRDs.

    Their NetworkPolicies let them out to the usual ports of apiservers; `api_ports` are this one's.
    """
    whole = [
        document for name in _FILES for document in yaml.safe_load_all(_read(_RENDERED / name))
    ]
    started = (_started(each, image, arguments) for each in whole if each)
    return [_let_out(each, api_ports) for each in started]


def _read(file: Path) -> str:
    if not file.exists():
        raise LocalError(f"The operator is installed from a clone: {file} is missing.")
    return file.read_text()


def _started(manifest: Manifest, image: str, arguments: Sequence[str]) -> Manifest:
    """Return a Deployment with this image, the operator's with these arguments; others stay."""
    if manifest["kind"] != "Deployment":
        return manifest
    own: dict[str, Json] = {"image": image}
    if _child(manifest, "metadata")["name"] == NAME:
        own["args"] = ["operator", *arguments]
    spec = _child(manifest, "spec")
    template = _child(spec, "template")
    pod = _child(template, "spec")
    containers: list[Json] = [{**each, **own} for each in _containers(pod)]
    pod = {**pod, "containers": containers}
    return {**manifest, "spec": {**spec, "template": {**template, "spec": pod}}}


def _let_out(manifest: Manifest, ports: Sequence[int]) -> Manifest:
    """Return a NetworkPolicy that lets out to these ports too; others stay."""
    if manifest["kind"] != "NetworkPolicy" or not ports:
        return manifest
    more: Json = {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}
    spec = _child(manifest, "spec")
    return {**manifest, "spec": {**spec, "egress": [*items(spec, "egress"), more]}}


def _child(parent: Mapping[str, Json], key: str) -> dict[str, Json]:
    child = parent[key]
    if not isinstance(child, dict):
        raise TypeError(f"{key} holds no object")
    return child


def _containers(pod: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    containers = pod["containers"]
    for each in containers if isinstance(containers, list) else ():
        if isinstance(each, dict):
            yield each
