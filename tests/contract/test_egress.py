"""The way out of a cluster on the host: opened beside a firewall, and closed without a trace."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.local.host_tools import node_path
from support import egress_trial

pytestmark = pytest.mark.contract


def trial(folder: Path, host: str) -> list[dict[str, str]]:
    node_path()  # unpacks the tools where they are not yet cached: the trial has no network
    program = [sys.executable, str(egress_trial.__file__), str(folder), host]
    done = subprocess.run(
        ["unshare", "--net", *program], capture_output=True, text=True, check=True
    )
    pictures: list[dict[str, str]] = json.loads(done.stdout)
    return pictures


@pytest.mark.parametrize("host", ["bare", "filtered"])
def test_the_last_cluster_leaves_the_firewall_as_it_was(tmp_path: Path, host: str) -> None:
    before, one, second_alone, after = trial(tmp_path, host)
    assert before["forward"] == "0"
    assert one["forward"] == second_alone["forward"] == "1"
    assert "masquerade" in one["rules"]
    assert "paddock0" not in second_alone["rules"]
    assert "paddock1" in second_alone["rules"]
    assert after == before


def test_a_host_that_drops_forwarded_packets_lets_the_cable_through(tmp_path: Path) -> None:
    _, one, _, _ = trial(tmp_path, "filtered")
    forward = one["rules"].partition("chain FORWARD")[2].partition("chain")[0]
    assert 'iifname "paddock0"' in forward
    assert "accept" in forward
