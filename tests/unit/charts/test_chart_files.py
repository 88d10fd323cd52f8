"""The charts' files without Helm: nothing stale or undocumented, no right without a reason."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from paddock import kinds, names
from paddock.cli.charts import BEGIN, committed_copies, described, stale_files
from paddock.cli.operator import operator
from paddock.facts import Kind
from paddock.local.install import NAME, NAMESPACE, build_install
from paddock.plan.gateway.plan import PRUNED as PRUNED_OF_GATEWAY
from paddock.plan.pod import container_security_context, pod_security_context
from paddock.plan.pool import PRUNED
from paddock.raw import items
from support import catalogue_effects
from support.catalogue_effects import MODELS, POOLS
from support.chart_effects import EFFECTS
from support.charts import CHARTS, ROOT, container_of, documents, of_kind, rules_of

ALL_CHARTS = sorted(folder.name for folder in CHARTS.iterdir())
MADE = {"get", "list", "watch", "create", "patch"}
NOT_VALUES = {
    "--kubeconfig": "the pod's own account is used",
    "--health-port": "a constant of the pod",
    "--namespace": "comes from the pod's own namespace",
    "--operator-namespace": "comes from the pod's own namespace",
    "--help": "",
}


def schema_of(chart: str) -> dict[str, Any]:
    schema: dict[str, Any] = json.loads((CHARTS / chart / "values.schema.json").read_text())
    return schema


def values_of(chart: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHARTS / chart / "values.yaml").read_text())
    return values


def leaves(values: dict[str, Any], schema: dict[str, Any], prefix: str = "") -> set[str]:
    """Return the paths of values, as deep as the schema names them."""
    found = set()
    for key, value in values.items():
        child = schema["properties"][key]
        if "properties" in child and isinstance(value, dict):
            found |= leaves(value, child, f"{prefix}{key}.")
        else:
            found.add(f"{prefix}{key}")
    return found


def installed() -> list[dict[str, Any]]:
    return [*build_install("image:1", ["--allow-http"])]


def test_policies_let_out_to_this_clusters_apiserver_too() -> None:
    policies = [each for each in build_install("image:1", (), (20443,))
                if each["kind"] == "NetworkPolicy"]  # fmt: skip
    assert len(policies) == 2
    for each in policies:
        *usual, last = items(each, "spec", "egress")
        assert last == {"ports": [{"port": 20443, "protocol": "TCP"}]}
        assert usual


def test_copies_and_tables_are_fresh() -> None:
    files = committed_copies(ROOT)
    assert stale_files(ROOT, files) == [], "run `paddock charts --write .`"
    assert {name for name in files if name.endswith("README.md")} == {
        f"charts/{chart}/README.md" for chart in ALL_CHARTS
    }
    assert all(BEGIN in (ROOT / name).read_text() for name in files if name.endswith("README.md"))


def test_committed_crds_are_the_same_in_each_place() -> None:
    (paths) = sorted(path.name for path in (ROOT / "crds").iterdir())
    assert paths == sorted(path.name for path in (CHARTS / "paddock-crds" / "files").iterdir())
    whole = documents((ROOT / "manifests/install/crds/paddock-crds.yaml").read_text())
    plain = [each for each in whole if each["kind"] == "CustomResourceDefinition"]
    known = [yaml.safe_load((ROOT / "crds" / path).read_text()) for path in paths]
    assert plain == known


@pytest.mark.parametrize("chart", ALL_CHARTS)
def test_every_value_has_a_default_and_a_description(chart: str) -> None:
    schema = schema_of(chart)
    told = dict(described(schema))
    hidden = {path for path in told if path.split(".")[-1] in ("global", "enabled")}
    assert all(description.endswith(".") for description in told.values())
    values = leaves(values_of(chart), schema)
    assert values | hidden == set(told) | (hidden & values)


def test_every_value_has_an_effect_in_the_table() -> None:
    """A new value needs a line in tests/support/chart_effects.py, and contract tests render it."""
    paths = {path for path, _ in described(schema_of("paddock")) if not path.endswith("global")}
    assert paths == {value for value, *_ in EFFECTS}


def test_every_value_of_the_catalogue_has_an_effect_in_the_tables() -> None:
    """A new value, or field of a kind, needs a line in tests/support/catalogue_effects.py."""
    schema = schema_of("paddock-models")
    paths = {path for path, _ in described(schema)} - {"global", "models", "pools"}
    assert paths == {value for value, *_ in catalogue_effects.EFFECTS}
    for name, entries in (("models", MODELS), ("pools", POOLS)):
        item = schema["properties"][name]["items"]
        fields = set().union(*(filled(entry, item) for entry in entries))
        assert fields == set(fields_of(item))


def fields_of(schema: dict[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the paths of an entry's fields, those of what it lists too."""
    if "properties" in schema:
        for name, child in schema["properties"].items():
            yield from fields_of(child, f"{prefix}.{name}")
    elif "properties" in schema.get("items", {}):
        yield from fields_of(schema["items"], f"{prefix}[]")
    else:
        yield prefix


def filled(value: Any, schema: dict[str, Any], prefix: str = "") -> set[str]:
    """Return the paths of the fields that a value has."""
    if "properties" in schema:
        found = (filled(value[key], schema["properties"][key], f"{prefix}.{key}") for key in value)
        return set().union(*found)
    if "properties" in schema.get("items", {}):
        return set().union(*(filled(each, schema["items"], f"{prefix}[]") for each in value))
    return {prefix}


def test_every_option_of_the_operator_is_a_value() -> None:
    template = (CHARTS / "paddock/templates/_arguments.tpl").read_text()
    options = {option for each in operator.params for option in each.opts}
    missing = {option for option in options - set(NOT_VALUES) if f"{option}" not in template}
    assert missing == set(), "add a value to charts/paddock, its schema and _arguments.tpl"
    assert set(NOT_VALUES) <= options | {"--help"}


def granted() -> dict[tuple[str, str], set[str]]:
    rights: dict[tuple[str, str], set[str]] = {}
    for rule in rules_of(installed()):
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                rights.setdefault((group, resource), set()).update(rule["verbs"])
    return rights


def right(kind: Kind, subresource: str = "") -> tuple[str, str]:
    return kind.group, f"{kind.plural}/{subresource}" if subresource else kind.plural


def test_rights_are_those_of_the_kinds_we_know() -> None:
    """A new child kind needs a rule in charts/paddock/templates/_rules.tpl."""
    deleted = {*PRUNED, *PRUNED_OF_GATEWAY, "Job"}
    expected = {right(kind): {"get", "list", "watch"} for kind in kinds.OWN}
    expected[right(kinds.LOCAL_MODELS)] |= {"patch"}  # our finalizer
    expected |= {right(kind, "status"): {"patch"} for kind in kinds.OWN}
    expected |= {
        right(kind): MADE | ({"delete"} if kind.kind in deleted else set())
        for kind in (*kinds.MODEL_CHILDREN, *kinds.GATEWAY_CHILDREN)
    }
    expected |= {right(kinds.DEPLOYMENTS, "scale"): {"patch"}}
    expected |= {right(kinds.PODS): {"list", "watch", "patch"}}
    expected |= {right(kinds.EVENTS): {"get", "list", "create", "patch"}}
    expected |= {right(kinds.LEASES): {"get", "create", "update"}}
    assert granted() == expected


def test_no_right_is_dangerous() -> None:
    for rule in (*rules_of(installed()), *rules_of(installed(), "activator")):
        words = {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not words & {"*", "secrets", "roles", "rolebindings", "clusterroles", "nodes",
                            "serviceaccounts/token", "pods/exec", "escalate", "bind",
                            "impersonate"}  # fmt: skip


@pytest.mark.parametrize("part", ["operator", "activator"])
def test_our_own_pods_are_confined_like_every_pod_we_make(part: str) -> None:
    manifests = installed()
    pod = of_kind(manifests, "Deployment", part)["spec"]["template"]["spec"]
    assert pod["securityContext"] == pod_security_context()
    assert container_of(manifests, part)["securityContext"] == container_security_context()


@pytest.mark.parametrize("part", ["operator", "activator"])
def test_our_own_pods_may_start_slowly_and_are_ended_only_when_they_hang(part: str) -> None:
    """A busy machine once took 23 s to load the operator, which was ended before it began."""
    own = container_of(installed(), part)
    start = own["startupProbe"]
    assert start["httpGet"] == own["livenessProbe"]["httpGet"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 120


def test_install_has_the_image_and_the_arguments_it_was_given() -> None:
    manifests = installed()
    container = container_of(manifests)
    assert (container["image"], container["args"]) == ("image:1", ["operator", "--allow-http"])
    assert of_kind(manifests, "Namespace", "system")["metadata"]["name"] == NAMESPACE
    assert of_kind(manifests, "Deployment")["metadata"]["name"] == NAME
    activator = container_of(manifests, "activator")
    assert (activator["image"], activator["command"][-1]) == ("image:1", "paddock.activator")
    assert [each["containerPort"] for each in activator["ports"]] == [
        names.ACTIVATOR_PORT,
        names.HEALTH_PORT,
    ]
    assert container["ports"] == [{"name": "health", "containerPort": names.HEALTH_PORT}]
    assert container["volumeMounts"][0]["mountPath"] == names.SCRATCH_PATH
