"""Samples at a real apiserver: taken and accepted as they are, applied again without a change."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock import names
from paddock.api.base import UNSEEN
from support.accounts import AccountOperator
from support.chart_site import Site
from support.charts import ROOT
from support.gitops import ARGO

pytestmark = pytest.mark.contract
FOLDER = ROOT / "manifests" / "samples"
AGAIN = 100
KINDS = "localmodels,inferencepools"


def test_apiserver_takes_every_sample_and_a_second_look_shows_no_difference(site: Site) -> None:
    site.install("kinds", "paddock-crds")
    site.wait_for_kinds()
    for file in sorted(FOLDER.glob("*.yaml")):
        with_file = ("-n", site.namespace, "--filename", str(file))
        said = site.kubectl("apply", "--server-side", "--field-manager=test", *with_file)
        assert "Warning" not in said
        assert site.kubectl("diff", "--server-side", "--field-manager=test", *with_file) == ""
        assert observed(site) == {UNSEEN}
        site.kubectl("delete", *with_file)


@pytest.mark.parametrize(
    "how", [[], ["--server-side", "--field-manager=gitops"]], ids=["client-side", "server-side"]
)
def test_hundred_applies_make_no_new_generation_and_no_new_version(
    site: Site, how: list[str]
) -> None:
    site.install("kinds", "paddock-crds")
    site.wait_for_kinds()
    text = (FOLDER / "two-engines-one-claim.yaml").read_text()
    for _ in range(2):  # the second stores the status' default, as no operator writes one here
        site.kubectl("-n", site.namespace, "apply", *how, "-f", "-", stdin=text)
    before = versions(site)
    whole = "---\n".join([text] * AGAIN)
    said = site.kubectl("-n", site.namespace, "apply", *how, "-f", "-", stdin=whole)
    assert len(said.splitlines()) == AGAIN * len(before)
    assert "created" not in said
    assert "configured" not in said
    assert versions(site) == before
    diff = site.kubectl("-n", site.namespace, "diff", *how, "-f", "-", stdin=text)
    assert diff == ""


def test_argo_cd_is_told_by_the_command_that_its_sample_names(site: Site) -> None:
    text = ARGO.read_text()
    (typed,) = [line for line in text.splitlines() if line.startswith("#   kubectl ")]
    words = shlex.split(typed.removeprefix("#   kubectl "))
    assert words[:2] == ["-n", "argocd"]
    assert words.pop() == ARGO.name
    site.kubectl(
        "-n", site.namespace, "create", "configmap", "argocd-cm", "--from-literal=own=kept"
    )
    site.kubectl("-n", site.namespace, *words[2:], str(ARGO))
    told = site.kubectl("-n", site.namespace, "get", "configmap", "argocd-cm", "-o", "json")
    assert json.loads(told)["data"] == {"own": "kept", **yaml.safe_load(text)["data"]}


def observed(site: Site) -> set[int]:
    text = site.kubectl("-n", site.namespace, "get", KINDS, "-o", "json")
    return {each["status"]["observedGeneration"] for each in json.loads(text)["items"]}


def versions(site: Site) -> dict[str, tuple[int, str]]:
    found: list[Any] = json.loads(site.kubectl("-n", site.namespace, "get", KINDS, "-o", "json"))[
        "items"
    ]
    return {
        each["metadata"]["name"]: (
            each["metadata"]["generation"],
            each["metadata"]["resourceVersion"],
        )
        for each in found
    }


def test_operator_accepts_every_sample_as_it_is(site: Site, tmp_path: Path) -> None:
    site.install("kinds", "paddock-crds")
    site.wait_for_kinds()
    site.install("operator", "paddock", crds__enabled=False, replicas=0)
    operator = AccountOperator(site, tmp_path, clusterwide=True)
    operator.start()
    spaces = {file.stem: f"{site.namespace}-{file.stem}" for file in FOLDER.glob("*.yaml")}
    try:
        made = [{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
                for space in spaces.values()]  # fmt: skip
        site.kubectl(
            "create",
            "-f",
            "-",
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": made}),
        )
        for stem, space in spaces.items():
            site.kubectl("-n", space, "apply", "-f", str(FOLDER / f"{stem}.yaml"))
        for stem, space in spaces.items():
            operator.until(f"{stem} is accepted", lambda space=space: is_accepted(site, space))
    finally:
        operator.stop()
        site.kubectl("delete", "namespace", "--wait=false", *spaces.values())


def is_accepted(site: Site, space: str) -> bool:
    """Tell whether every pool of a namespace is accepted, and every model has its pull."""
    text = site.kubectl("-n", space, "get", f"{KINDS},jobs", "-o", "json")
    found: list[dict[str, Any]] = json.loads(text)["items"]
    pools = [each for each in found if each["kind"] == names.INFERENCE_POOL]
    models = [each for each in found if each["kind"] == names.LOCAL_MODEL]
    pulls = [each for each in found if each["kind"] == "Job"]
    accepted = {"type": "Accepted", "status": "True"}.items()
    return len(models) == len(pulls) and all(
        any(
            accepted <= condition.items()
            for condition in each.get("status", {}).get("conditions", [])
        )
        for each in pools
    )
