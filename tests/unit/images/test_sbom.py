"""The bill of materials is that of the locked packages: same names, versions and hashes."""

import json
import re
from typing import Any

from paddock.settings import VERSION
from support.charts import ROOT

REQUIREMENTS = ROOT / "operator" / "requirements"
AGAIN = (
    "uvx --from cyclonedx-bom==7.5.0 cyclonedx-py requirements --pyproject pyproject.toml "
    "--output-reproducible -o operator/requirements/runtime.cdx.json "
    "operator/requirements/runtime.txt"
)
Package = tuple[str, str]


def locked() -> dict[Package, set[str]]:
    """Return the hashes of every package of the lock file."""
    found: dict[Package, set[str]] = {}
    for entry in re.split(r"\n(?=\S)", (REQUIREMENTS / "runtime.txt").read_text()):
        named = re.match(r"([a-z0-9-]+)(?:\[[^]]*\])?==([^ ;\\]+)", entry)
        if named is not None:
            found[named[1], named[2]] = set(re.findall(r"--hash=sha256:([0-9a-f]{64})", entry))
    return found


def hashes_of(component: dict[str, Any]) -> set[str]:
    return {
        each["content"]
        for reference in component["externalReferences"]
        for each in reference["hashes"]
        if each["alg"] == "SHA-256"
    }


def test_bill_of_materials_is_that_of_the_lock_file() -> None:
    bill = json.loads((REQUIREMENTS / "runtime.cdx.json").read_text())
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    described = bill["metadata"]["component"]
    assert (described["name"], described["version"]) == ("paddock", VERSION)
    told = {(each["name"], each["version"]): hashes_of(each) for each in bill["components"]}
    assert len(told) > 20
    assert all(told.values())
    assert told == locked(), f"run {AGAIN}"


def test_every_package_has_the_name_by_which_scanners_know_it() -> None:
    bill = json.loads((REQUIREMENTS / "runtime.cdx.json").read_text())
    known = {each["purl"].partition("?")[0] for each in bill["components"]}
    assert known == {f"pkg:pypi/{name}@{version}" for name, version in locked()}
