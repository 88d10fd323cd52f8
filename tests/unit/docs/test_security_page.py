"""The page on security: every threat names something that shows it, and that is there."""

import re

from paddock.settings import VERSION
from support.charts import CHARTS
from support.pages import DOCS, ROOT, table_rows

PAGE = DOCS / "security.md"


def test_every_threat_names_tests_that_are_there() -> None:
    rows = table_rows(PAGE, "Threats")
    assert len(rows) >= 15
    for row in rows:
        named = re.findall(r"`((?:tests|operator)/[^`]+)`", row[-1])
        assert named, row
        assert all((ROOT / name).exists() for name in named), row


def test_supported_version_is_this_one() -> None:
    (current, _) = table_rows(PAGE, "Supported versions")
    assert VERSION.startswith(f"{current[0]}.")
    lowest = re.search(r"1\.\d+", current[2])
    assert lowest is not None
    for chart in CHARTS.iterdir():
        assert f'kubeVersion: ">={lowest[0]}.0-0"' in (chart / "Chart.yaml").read_text()
