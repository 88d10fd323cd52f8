"""Every value of the charts does what its description says, and no value can inject YAML."""

import json
from collections.abc import Mapping
from typing import Any

import click
import pytest

from paddock.cli.charts import described, rendered_manifests, stale_files
from paddock.cli.operator import operator
from paddock.local.install import NAMESPACE, build_install
from paddock.local.install_activator import build_activator
from paddock.local.problems import LocalError
from support.charts import (
    CHARTS,
    ROOT,
    Manifest,
    container_of,
    helm_program,
    of_kind,
    rendered,
)

pytestmark = pytest.mark.contract
POD = "Deployment.spec.template"
ENGINE = f"{POD}.spec.containers.0"
DIGEST = "sha256:" + "a" * 64
EVIL = 'x\nevil: "1"\n#'

EFFECTS: list[tuple[str, Any, str, Any]] = [
    ("image.registry", "r.example.com", f"{ENGINE}.image",
     "r.example.com/paddock-dev/paddock:0.1.0"),
    ("image.repository", "own/name", f"{ENGINE}.image", "ghcr.io/own/name:0.1.0"),
    ("image.tag", "9", f"{ENGINE}.image", "ghcr.io/paddock-dev/paddock:9"),
    ("image.digest", DIGEST, f"{ENGINE}.image", f"ghcr.io/paddock-dev/paddock@{DIGEST}"),
    ("image.pullPolicy", "Always", f"{ENGINE}.imagePullPolicy", "Always"),
    ("imageRegistry", "m.example.com:5000/a", f"{ENGINE}.image",
     "m.example.com:5000/a/paddock-dev/paddock:0.1.0"),
    ("imageRegistry", "m.example.com", "image_registry", "m.example.com"),
    ("image.tag", "9", "operator_image", "ghcr.io/paddock-dev/paddock:9"),
    ("imagePullSecrets", [{"name": "s"}], f"{POD}.spec.imagePullSecrets", [{"name": "s"}]),
    ("engineImages.ollama", "r.example.com/o:1", "ollama_image", "r.example.com/o:1"),
    ("engineImages.llamaCpp", "r.example.com/l:1", "llama_cpp_image", "r.example.com/l:1"),
    ("engineImages.vllm", f"r.example.com/v@{DIGEST}", "vllm_image", f"r.example.com/v@{DIGEST}"),
    ("gpuTypeLabel", "example.com/gpu", "gpu_type_label", "example.com/gpu"),
    ("sources.allowedHosts", ["a.example.com", "b.example.com"], "allow_host",
     ("a.example.com", "b.example.com")),
    ("sources.allowedCidrs", ["10.0.0.0/8", "fd00::/8"], "allow_cidr", ("10.0.0.0/8", "fd00::/8")),
    ("sources.allowHttp", True, "allow_http", True),
    ("sources.huggingFaceEndpoint", "https://hub.example.com", "hf_endpoint",
     "https://hub.example.com"),
    ("writesPerSecond", 7.5, "writes_per_second", 7.5),
    ("replicas", 3, "Deployment.spec.replicas", 3),
    ("replicas", 3, "PodDisruptionBudget.spec.maxUnavailable", 1),
    ("replicas", 3, f"{POD}.spec.topologySpreadConstraints.0.maxSkew", 1),
    ("resources", {"limits": {"cpu": "1"}}, f"{ENGINE}.resources",
     {"limits": {"cpu": "1", "memory": "512Mi"}, "requests": {"cpu": "50m", "memory": "128Mi"}}),
    ("nodeSelector", {"zone": "a"}, f"{POD}.spec.nodeSelector", {"zone": "a"}),
    ("tolerations", [{"operator": "Exists"}], f"{POD}.spec.tolerations", [{"operator": "Exists"}]),
    ("priorityClassName", "high", f"{POD}.spec.priorityClassName", "high"),
    ("podAnnotations", {"a": "1"}, f"{POD}.metadata.annotations", {"a": "1"}),
    ("podLabels", {"team": "x"}, f"{POD}.metadata.labels.team", "x"),
    ("serviceAccountAnnotations", {"a": "1"}, "ServiceAccount.metadata.annotations", {"a": "1"}),
    ("networkPolicy.enabled", False, "NetworkPolicy", None),
    ("networkPolicy.apiServerPorts", [7443], "NetworkPolicy.spec.egress.1.ports",
     [{"port": 7443, "protocol": "TCP"}]),
    ("clusterWide", False, "ClusterRole", None),
    ("clusterWide", False, f"{ENGINE}.env.1.name", "PADDOCK_NAMESPACE"),
    ("crds.enabled", True, "CustomResourceDefinition.spec.group", "paddock.dev"),
    ("crds.keep", False, "CustomResourceDefinition.metadata.annotations", None),
    ("crds.keep", True, "CustomResourceDefinition.metadata.annotations",
     {"helm.sh/resource-policy": "keep"}),
    ("crds.aggregateRoles", True, "ClusterRole.metadata.name", "paddock-view"),
    ("crds.aggregateRoles", False, "ClusterRole", None),
]  # fmt: skip
"""Value, what it is set to, where that shows (an object's path, or an option), and as what."""


def found(manifests: list[Manifest], path: str) -> Any:
    """Return what an object's path holds, or an option of the operator; None where nothing is."""
    kind, *keys = path.split(".")
    if kind[0].islower():
        return options_of(container_of(manifests)["args"])[kind]
    here: Any = next((each for each in manifests if each["kind"] == kind), None)
    for key in keys:
        if here is None:
            return None
        here = here[int(key)] if isinstance(here, list) else here.get(key)
    return here


def options_of(arguments: list[str]) -> Mapping[str, Any]:
    """Return the operator's options as its own command line reads them."""
    assert arguments[0] == "operator"
    context: click.Context = operator.make_context("operator", list(arguments[1:]))
    return context.params


@pytest.mark.parametrize(("value", "setting", "place", "expected"), EFFECTS)
def test_value_shows_where_it_should(value: str, setting: Any, place: str, expected: Any) -> None:
    alone = {} if value.startswith("crds.") else {"crds.enabled": False}
    if value == "crds.aggregateRoles":
        alone = {"clusterWide": False}
    assert found(rendered("paddock", {**alone, value: setting}), place) == expected


def test_every_value_has_an_effect_in_the_table() -> None:
    schema = json.loads((CHARTS / "paddock/values.schema.json").read_text())
    paths = {path for path, _ in described(schema) if not path.endswith("global")}
    assert paths == {value for value, *_ in EFFECTS}


def test_no_value_can_inject_yaml() -> None:
    strings = [value for value, setting, *_ in EFFECTS if isinstance(setting, str)]
    for value in strings:
        with pytest.raises(LocalError, match="schema"):
            rendered("paddock", {value: EVIL})
    harmless = {
        "podAnnotations": {"a": EVIL},
        "serviceAccountAnnotations": {"a": EVIL},
        "tolerations": [{"key": EVIL}],
        "resources": {"limits": {"cpu": EVIL}},
    }
    manifests = rendered("paddock", harmless)
    assert len(manifests) == len(rendered("paddock"))
    assert not any("evil" in keys_of(each) for each in manifests)


def keys_of(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value).union(*map(keys_of, value.values()))
    return set().union(*map(keys_of, value)) if isinstance(value, list) else set()


@pytest.mark.parametrize(
    "wrong",
    [
        {"unknown": 1},
        {"replicas": "one"},
        {"replicas": 99},
        {"writesPerSecond": 0},
        {"podLabels": {"app.kubernetes.io/name": "x"}},
        {"image.digest": "sha256:abc"},
        {"networkPolicy.apiServerPorts": []},
        {"crds.unknown": True},
        {"sources.allowedCidrs": ["everything"]},
    ],
)
def test_wrong_value_is_refused_by_the_schema(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalError, match="schema"):
        rendered("paddock", wrong)


def test_namespaced_install_has_nothing_outside_its_namespace() -> None:
    manifests = rendered(
        "paddock", {"clusterWide": False, "crds.enabled": False}, namespace="team-a"
    )
    assert {each["metadata"].get("namespace") for each in manifests} == {"team-a"}
    assert not any(each["kind"].startswith("Cluster") for each in manifests)


def test_plain_manifests_are_what_helm_renders() -> None:
    stale = stale_files(ROOT, rendered_manifests(ROOT, helm_program()))
    assert stale == [], "run `paddock charts --write .`"


def test_embedded_cluster_installs_what_the_chart_renders() -> None:
    arguments = ["--operator-image", "localhost/paddock/operator:7", "--allow-http",
                 "--allow-cidr", "10.87.0.1/32", "--ollama-image", "localhost/o:1"]  # fmt: skip
    image = {"registry": "localhost", "repository": "paddock/operator", "tag": "7"}
    values = {
        "crds.enabled": False,
        "image": image,
        "sources": {"allowHttp": True, "allowedCidrs": ["10.87.0.1/32"]},
        "engineImages.ollama": "localhost/o:1",
    }
    chart = rendered("paddock", values)
    activator = build_activator(NAMESPACE, "localhost/paddock/operator:7")
    whole = build_install("localhost/paddock/operator:7", arguments)
    embedded = [dict(each) for each in whole if each not in activator]
    assert options_of(args_taken(embedded)) == options_of(args_taken(chart))
    assert [each for each in embedded if each["kind"] != "Namespace"] == chart


def args_taken(manifests: list[Manifest]) -> list[str]:
    """Take the arguments out of the operator's container and return them."""
    arguments: list[str] = container_of(manifests).pop("args")
    assert of_kind(manifests, "Deployment")
    return arguments
