"""Every value of the charts does what its description says, and no value can inject YAML."""

from collections.abc import Mapping
from typing import Any

import click
import pytest

from paddock.activator.__main__ import main as activator
from paddock.cli.charts import rendered_manifests, stale_files
from paddock.cli.operator import operator
from paddock.local.install import build_install
from paddock.local.problems import LocalError
from support.chart_effects import EFFECTS
from support.charts import (
    ROOT,
    Manifest,
    at_place,
    container_of,
    helm_program,
    of_kind,
    rendered,
    rendered_each,
)

pytestmark = pytest.mark.contract
EVIL = 'x\nevil: "1"\n#'


def found(manifests: list[Manifest], place: str) -> Any:
    """Return what an object's path holds, or an option of the operator; None where nothing is."""
    if place[0].islower() and "/" not in place:
        return options_of(container_of(manifests)["args"])[place]
    return at_place(manifests, place)


def options_of(arguments: list[str]) -> Mapping[str, Any]:
    """Return the operator's options as its own command line reads them."""
    assert arguments[0] == "operator"
    context: click.Context = operator.make_context("operator", list(arguments[1:]))
    return context.params


@pytest.fixture(scope="module")
def effects(tmp_path_factory: pytest.TempPathFactory) -> list[list[Manifest]]:
    """Render the chart once for each line of the table."""
    rows = [{**beside(value), value: setting} for value, setting, *_ in EFFECTS]
    return rendered_each("paddock", rows, tmp_path_factory.mktemp("rows"))


def beside(value: str) -> dict[str, Any]:
    """Return what is set so that the value's objects are alone of their kind."""
    if value == "crds.aggregateRoles":
        return {"clusterWide": False}
    return {} if value.startswith("crds.") else {"crds.enabled": False}


@pytest.mark.parametrize("line", range(len(EFFECTS)), ids=[value for value, *_ in EFFECTS])
def test_value_shows_where_it_should(effects: list[list[Manifest]], line: int) -> None:
    _, _, place, expected = EFFECTS[line]
    assert found(effects[line], place) == expected


def test_many_rendered_at_once_are_as_each_alone(effects: list[list[Manifest]]) -> None:
    value, setting, *_ = EFFECTS[0]
    assert effects[0] == rendered("paddock", {**beside(value), value: setting})


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


def test_activator_reads_its_arguments_as_the_chart_writes_them() -> None:
    values = {"activator": {"waiting": 9, "holdSeconds": 60, "heartbeatSeconds": 0.5}}
    arguments = container_of(rendered("paddock", values), "activator")["args"]
    read = activator.make_context("activator", list(arguments)).params
    assert [read[name] for name in ("waiting", "hold_seconds", "heartbeat_seconds")] == [9, 60, 0.5]


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
    embedded = [dict(each) for each in build_install("localhost/paddock/operator:7", arguments)]
    assert options_of(args_taken(embedded)) == options_of(args_taken(chart))
    assert [each for each in embedded if each["kind"] != "Namespace"] == chart


def args_taken(manifests: list[Manifest]) -> list[str]:
    """Take the arguments out of the operator's container and return them."""
    arguments: list[str] = container_of(manifests).pop("args")
    assert of_kind(manifests, "Deployment")
    return arguments
