"""The chart of models: entries are the specs of our kinds, and the apiserver takes them all."""

import json
import re
from typing import Any

import pytest
import yaml

from paddock import names
from paddock.local.problems import LocalError
from paddock.plan.gateway.objects import gateway_selector
from paddock.plan.gateway.plan import render_gateway
from paddock.settings import Settings
from support.catalogue_effects import BASE, EFFECTS, MODELS, POOLS
from support.chart_site import Site
from support.charts import CHARTS, ROOT, Manifest, at_place, helm, rendered, rendered_each
from support.gateways import CPP, gateway_facts

pytestmark = pytest.mark.contract
TINY = {"name": "tiny", "source": "https://models.example.com/tiny.gguf"}
OTHER = {"name": "other", "source": "hf://ORG/REPO", "storage": {"claimName": "own"}}
INGRESS = {"enabled": True, "host": "models.example.com"}
CHAT = {"name": "chat", "engine": {"name": "Ollama"}, "models": [{"name": "tiny"}]}

CASES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"models": [TINY, OTHER]},
        {
            "tiny": {"source": TINY["source"]},
            "other": {"source": "hf://ORG/REPO", "storage": {"claimName": "own"}},
            "paddock": {
                "engine": {"name": "LlamaCpp"},
                "models": [{"name": "tiny"}, {"name": "other"}],
            },
        },
    ),
    (
        {
            "models": [TINY, OTHER, {"name": "there", "source": "pvc://claim/x.gguf"}],
            "pools": [CHAT, {"name": "two", "models": [{"name": "other"}], "replicas": 0}],
            "engine": "Ollama",
            "replicaCount": 3,
            "persistence": {"size": "5Gi", "storageClass": "fast", "retain": "Delete"},
        },
        {
            "tiny": {
                "source": TINY["source"],
                "storage": {"size": "5Gi", "storageClassName": "fast", "retain": "Delete"},
            },
            "other": {"source": "hf://ORG/REPO", "storage": {"claimName": "own"}},
            "there": {"source": "pvc://claim/x.gguf"},
            "chat": {"engine": {"name": "Ollama"}, "models": [{"name": "tiny"}], "replicas": 3},
            "two": {"engine": {"name": "Ollama"}, "models": [{"name": "other"}], "replicas": 0},
        },
    ),
    (
        {"models": [TINY], "persistence.existingClaim": "shared"},
        {
            "tiny": {"source": TINY["source"], "storage": {"claimName": "shared"}},
            "paddock": {"engine": {"name": "LlamaCpp"}, "models": [{"name": "tiny"}]},
        },
    ),
]


@pytest.fixture(scope="module")
def effects(tmp_path_factory: pytest.TempPathFactory) -> list[list[Manifest]]:
    """Render the chart once for each line of the table."""
    rows = [
        {**BASE, "ingress": {**BASE["ingress"]}, value: setting} for value, setting, *_ in EFFECTS
    ]
    return rendered_each("paddock-models", rows, tmp_path_factory.mktemp("rows"))


@pytest.mark.parametrize("line", range(len(EFFECTS)), ids=[value for value, *_ in EFFECTS])
def test_value_shows_where_it_should(effects: list[list[Manifest]], line: int) -> None:
    _, _, place, expected = EFFECTS[line]
    assert at_place(effects[line], place) == expected


def test_every_field_of_an_entry_reaches_the_apiserver(site: Site) -> None:
    site.install("kinds", "paddock-crds")
    site.wait_for_kinds()
    values = {"models": MODELS, "pools": POOLS}
    manifests = rendered("paddock-models", values, namespace=site.namespace)
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    dry = ("--server-side", "--dry-run=server", "--output=json")
    taken = json.loads(site.kubectl("apply", *dry, "-f", "-", stdin=body))["items"]
    entries = {each["name"]: each for each in (*MODELS, *POOLS)}
    assert {
        each["metadata"]["name"]: {"name": each["metadata"]["name"], **each["spec"]}
        for each in taken
    } == entries


def specs(manifests: list[Manifest]) -> dict[str, Any]:
    return {each["metadata"]["name"]: each["spec"] for each in manifests}


@pytest.mark.parametrize(("values", "expected"), CASES)
def test_entries_become_models_and_pools(
    site: Site, values: dict[str, Any], expected: dict[str, Any]
) -> None:
    manifests = rendered("paddock-models", values, namespace=site.namespace)
    assert specs(manifests) == expected
    site.install("kinds", "paddock-crds")
    site.wait_for_kinds()
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    said = site.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=body)
    assert said.count("serverside-applied") == len(manifests)


def test_values_of_the_argo_application_make_its_models_in_its_waves() -> None:
    file = ROOT / "manifests" / "gitops" / "argocd" / "application.yaml"
    values = yaml.safe_load(file.read_text())["spec"]["source"]["helm"]["valuesObject"]
    waves = {
        each["kind"]: each["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
        for each in rendered("paddock-models", values)
    }
    assert waves == {"LocalModel": "0", "InferencePool": "1"}


def test_ingress_leads_to_the_gateway_and_waits_as_long_as_it_does(site: Site) -> None:
    own = {"a": "1", "nginx.ingress.kubernetes.io/proxy-body-size": "1m"}
    whole = {**INGRESS, "className": "nginx", "tlsSecret": "cert", "annotations": own}
    whole["controllerNamespace"] = "front"
    manifests = rendered("paddock-models", {"ingress": whole}, namespace=site.namespace)
    ingress, policy = sorted(manifests, key=lambda each: str(each["kind"]))
    annotations = ingress["metadata"]["annotations"]
    waits = annotations["nginx.ingress.kubernetes.io/proxy-read-timeout"]
    assert waits == rendered_route_seconds()
    assert annotations["haproxy.org/timeout-server"] == f"{waits}s"
    assert annotations["nginx.ingress.kubernetes.io/proxy-body-size"] == "1m"
    assert annotations["a"] == "1"
    backend = {"service": {"name": names.GATEWAY, "port": {"name": "http"}}}
    path = {"path": "/", "pathType": "Prefix", "backend": backend}
    assert ingress["spec"] == {
        "ingressClassName": "nginx",
        "tls": [{"hosts": [INGRESS["host"]], "secretName": "cert"}],
        "rules": [{"host": INGRESS["host"], "http": {"paths": [path]}}],
    }
    front = {"matchLabels": {"kubernetes.io/metadata.name": "front"}}
    assert policy["spec"] == {
        "podSelector": {"matchLabels": gateway_selector()},
        "policyTypes": ["Ingress"],
        "ingress": [
            {
                "from": [{"namespaceSelector": front}],
                "ports": [{"port": names.GATEWAY_PORT, "protocol": "TCP"}],
            }
        ],
    }
    body = json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests})
    said = site.kubectl("apply", "--server-side", "--dry-run=server", "-f", "-", stdin=body)
    assert said.count("serverside-applied") == len(manifests)


def rendered_route_seconds() -> str:
    """Return the longest that the gateway lets an answer take."""
    text = " ".join(render_gateway(gateway_facts(CPP), Settings()).files.values())
    return max(re.findall(r'"timeout": ?"([0-9]+)s"', text), key=int)


def test_ingress_without_more_is_small_and_waits_as_long_as_it_is_told() -> None:
    values = {"ingress": {**INGRESS, "timeoutSeconds": 60}}
    (ingress,) = rendered("paddock-models", values)
    assert set(ingress["spec"]) == {"rules"}
    told = ingress["metadata"]["annotations"]
    assert told["nginx.ingress.kubernetes.io/proxy-read-timeout"] == "60"
    assert told["haproxy.org/timeout-server"] == "60s"


def test_empty_catalogue_makes_nothing() -> None:
    assert rendered("paddock-models") == []


def test_annotations_reach_each_kind() -> None:
    values = {"models": [TINY], "modelAnnotations": {"a": "1"}, "poolAnnotations": {"b": "2"}}
    found = {
        each["kind"]: each["metadata"]["annotations"] for each in rendered("paddock-models", values)
    }
    assert found == {"LocalModel": {"a": "1"}, "InferencePool": {"b": "2"}}


@pytest.mark.parametrize(
    "wrong",
    [
        {"models": [{"name": "tiny"}]},
        {"models": [{**TINY, "sorce": "x"}]},
        {"models": [{**TINY, "name": "Tiny\nx: y"}]},
        {"models": [{**TINY, "source": "ftp://x"}]},
        {"models": [{**TINY, "storage": {"sise": "1Gi"}}]},
        {"pools": [{**CHAT, "engine": {"name": "TGI"}}]},
        {"pools": [{**CHAT, "models": []}]},
        {"engine": "TGI"},
        {"persistence": {"size": "ten"}},
        {"ingress": {"enabled": True}},
        {"ingress": {**INGRESS, "host": "a b"}},
        {"ingress": {**INGRESS, "timeoutSeconds": 0}},
    ],
)
def test_misspelt_entry_is_refused_by_the_schema(wrong: dict[str, Any]) -> None:
    with pytest.raises(LocalError, match="schema"):
        rendered("paddock-models", wrong)


def test_catalogue_is_linted_with_no_complaint() -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHARTS / "paddock-models"))
