"""Samples against a real apiserver: taken as they are, and applying them again changes nothing."""

import json
from typing import Any

import pytest

from support.chart_site import Site
from support.charts import ROOT

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
