"""Releases of the charts on a real apiserver: in, changed, back and out, in every order."""

import json
import os
import shutil
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock.local.problems import LocalError
from support.chart_site import Site
from support.charts import CHARTS, documents, rendered, setting

pytestmark = pytest.mark.contract
MODEL = {
    "apiVersion": "paddock.dev/v1alpha1",
    "kind": "LocalModel",
    "metadata": {"name": "tiny"},
    "spec": {"source": "https://models.example.com/tiny.gguf"},
}
OPERATOR_KINDS = "deployment,serviceaccount,role,rolebinding,networkpolicy,service"
OPERATOR = {
    "deployment.apps/paddock-operator",
    "serviceaccount/paddock-operator",
    "role.rbac.authorization.k8s.io/paddock-operator",
    "rolebinding.rbac.authorization.k8s.io/paddock-operator",
    "networkpolicy.networking.k8s.io/paddock-operator",
    "deployment.apps/paddock-activator",
    "serviceaccount/paddock-activator",
    "networkpolicy.networking.k8s.io/paddock-activator",
    "service/paddock-activator",
}
RELEASES = {"kinds": ("paddock-crds", {}), "operator": ("paddock", {"crds__enabled": False})}
ORDERS = list(permutations(RELEASES))


def make_model(site: Site) -> str:
    """Make a model and return its uid."""
    site.wait_for_kinds()
    site.kubectl("-n", site.namespace, "apply", "-f", "-", stdin=json.dumps(MODEL))
    return uid_of(site)


def uid_of(site: Site) -> str:
    return site.kubectl(
        "-n", site.namespace, "get", "localmodel", "tiny", "-o", "jsonpath={.metadata.uid}"
    )


def operator_objects(site: Site) -> set[str]:
    return {name for name in site.names(OPERATOR_KINDS) if "/paddock-" in name}


def deployment(site: Site, part: str = "operator") -> Any:
    text = site.kubectl("-n", site.namespace, "get", "deployment", f"paddock-{part}", "-o", "json")
    return json.loads(text)


@pytest.mark.parametrize("chart", ["paddock", "paddock-crds"])
def test_chart_is_linted_with_no_complaint(site: Site, chart: str) -> None:
    assert "0 chart(s) failed" in site.helm("lint", "--strict", str(CHARTS / chart))


@pytest.mark.parametrize("inwards", ORDERS)
@pytest.mark.parametrize("outwards", ORDERS)
def test_two_releases_come_and_go_in_any_order_and_models_stay(
    site: Site, inwards: tuple[str, ...], outwards: tuple[str, ...]
) -> None:
    for release in inwards:
        chart, values = RELEASES[release]
        site.install(release, chart, **values)
    uid = make_model(site)
    assert operator_objects(site) == OPERATOR
    for release in outwards:
        site.helm("uninstall", release)
    assert operator_objects(site) == set()
    assert site.names("clusterrole,clusterrolebinding") & {
        "clusterrole.rbac.authorization.k8s.io/paddock-operator",
        "clusterrole.rbac.authorization.k8s.io/paddock-view",
        "clusterrolebinding.rbac.authorization.k8s.io/paddock-operator",
    } == set()  # fmt: skip
    assert uid_of(site) == uid
    site.install("kinds", "paddock-crds")  # what was kept is taken up again
    assert uid_of(site) == uid


def test_one_release_is_changed_and_rolled_back_and_its_models_outlive_it(site: Site) -> None:
    site.install("paddock", "paddock")
    uid = make_model(site)
    before = deployment(site)["spec"]
    site.install("paddock", "paddock", replicas=2, sources__allowHttp=True)
    changed = deployment(site)["spec"]
    assert changed["replicas"] == 2
    assert "--allow-http" in changed["template"]["spec"]["containers"][0]["args"]
    assert "poddisruptionbudget.policy/paddock-operator" in site.names("poddisruptionbudget")
    site.helm("rollback", "paddock", "1")
    assert deployment(site)["spec"] == before
    assert site.names("poddisruptionbudget") == set()
    site.helm("uninstall", "paddock")
    assert uid_of(site) == uid


def test_older_kinds_are_upgraded_with_the_release(site: Site, tmp_path: Path) -> None:
    older = tmp_path / "paddock-crds"
    shutil.copytree(CHARTS / "paddock-crds", older)
    for file in (older / "files").iterdir():
        crd = yaml.safe_load(file.read_text())
        del crd["spec"]["versions"][0]["additionalPrinterColumns"]
        file.write_text(yaml.safe_dump(crd))
    site.helm("install", "kinds", str(older))
    uid = make_model(site)
    site.install("kinds", "paddock-crds")
    columns = "jsonpath={.spec.versions[0].additionalPrinterColumns[0].name}"
    assert site.kubectl("get", "crd", "localmodels.paddock.dev", "-o", columns) == "Ready"
    assert uid_of(site) == uid


def test_kinds_that_are_not_to_be_kept_go_with_the_release(site: Site) -> None:
    site.install("kinds", "paddock-crds", keep=False)
    make_model(site)
    site.helm("uninstall", "kinds")
    site.kubectl("wait", "--for=delete", "crd/localmodels.paddock.dev", "--timeout=30s")
    assert site.names("crd") == set()


def test_second_operator_in_a_namespace_is_refused(site: Site) -> None:
    site.install("kinds", "paddock-crds")
    site.install("first", "paddock", crds__enabled=False, clusterWide=False)
    with pytest.raises(LocalError, match="invalid ownership metadata"):
        site.install("second", "paddock", crds__enabled=False, clusterWide=False)


@pytest.mark.parametrize("part", ["operator", "activator"])
def test_our_own_pods_pass_pod_security_restricted(site: Site, part: str) -> None:
    site.install("paddock", "paddock", replicas=2, priorityClassName="system-cluster-critical")
    template = deployment(site, part)["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe", "labels": template["metadata"]["labels"]},
        "spec": template["spec"],
    }
    said = site.kubectl(
        "-n", site.namespace, "create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod)
    )
    assert "created" in said
    pod["spec"] = {**template["spec"], "hostNetwork": True}
    with pytest.raises(LocalError, match="violates PodSecurity"):
        site.kubectl(
            "-n", site.namespace, "create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod)
        )


MATRIX: list[dict[str, Any]] = [
    {},
    {"crds.enabled": False, "clusterWide": False},
    {"replicas": 3, "nodeSelector": {"zone": "a"}, "tolerations": [{"operator": "Exists"}]},
    {"activator.replicas": 2, "activator.enabled": True},
    {"activator.enabled": False},
    {"networkPolicy.enabled": False, "image.digest": "sha256:" + "a" * 64},
    {"resources": {}, "podAnnotations": {"a": "b"}, "podLabels": {"team": "x"}},
    {
        "imageRegistry": "registry.example.com:5000/mirror",
        "imagePullSecrets": [{"name": "pull"}],
        "serviceAccountAnnotations": {"example.com/role": "arn:x"},
        "sources.allowedCidrs": ["10.0.0.0/8"],
        "sources.allowedHosts": ["models.example.com"],
    },
]


@pytest.mark.parametrize("values", MATRIX)
def test_apiserver_takes_every_rendered_object(site: Site, values: dict[str, Any]) -> None:
    manifests = rendered("paddock", values, namespace=site.namespace)
    said = site.kubectl(
        "apply", "--server-side", "--dry-run=server", "-f", "-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": manifests}),
    )  # fmt: skip
    assert len(said.splitlines()) == len(manifests)
    assert all("serverside-applied" in line for line in said.splitlines())


def test_helm_takes_over_what_kubectl_applied_and_makes_nothing_anew(
    site: Site, tmp_path: Path
) -> None:
    site.install("kinds", "paddock-crds")
    plain = os.path.relpath(CHARTS.parent / "manifests" / "install" / "namespaced", tmp_path)
    overlay = {"resources": [plain], "namespace": site.namespace}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    site.kubectl("apply", "--server-side", "-k", str(tmp_path))
    uid, made = make_model(site), deployment(site)["metadata"]["uid"]
    before = operator_objects(site)
    assert before > OPERATOR
    values = setting({"crds.enabled": False, "clusterWide": False, "writesPerSecond": 7})
    take = ("--take-ownership", "--force-conflicts")
    site.helm("upgrade", "--install", "own", str(CHARTS / "paddock"), *take, *values)
    taken = deployment(site)
    assert (operator_objects(site), taken["metadata"]["uid"]) == (before, made)
    (container,) = taken["spec"]["template"]["spec"]["containers"]
    assert [word for word in container["args"] if "writes" in word] == ["--writes-per-second=7"]
    site.helm("uninstall", "own")
    assert (operator_objects(site), uid_of(site)) == (set(), uid)


def test_plain_manifests_are_applied_and_removed_without_the_kinds(site: Site) -> None:
    manifests = CHARTS.parent / "manifests" / "install"
    kept = documents((manifests / "cluster/paddock.yaml").read_text())
    site.kubectl("apply", "--server-side", "-f", str(manifests / "paddock.yaml"))
    make_model(site)
    site.kubectl("delete", "-k", str(manifests / "cluster"), "--timeout=60s")
    assert uid_of(site)
    assert {each["kind"] for each in kept} >= {"Deployment", "ClusterRole", "Role"}
