"""How long a replica may take to end: as long as its longest answer, and it is not told before."""

import pytest

from paddock.drainer import connections, is_served
from paddock.plan.pool import plan_pool
from paddock.raw import at, items
from paddock.wire import Json
from support.pools import SETTINGS, fresh

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000 65532        0 1 1
   1: 0500F40A:1F90 0200F40A:C350 01 00000000:00000000 00:00000000 00000000 65532        0 2 1
   2: 0500F40A:1F90 0200F40A:C352 06 00000000:00000000 03:00000000 00000000     0        0 0 3
   3: 0500F40A:1F91 0200F40A:C354 04 00000000:00000000 01:00000000 00000000     0        0 0 3
   4: 0500F40A:C354 0900F40A:1F90 01 00000000:00000000 00:00000000 00000000 65532        0 3 1
"""


def test_only_callers_that_are_connected_to_the_engine_count() -> None:
    assert connections([TABLE, ""], 8080) == 1
    assert connections([TABLE, TABLE], 8080) == 2
    assert connections([TABLE], 8081) == 1
    assert connections([TABLE], 9091) == 0


def test_engine_is_there_while_it_listens() -> None:
    assert is_served(["", TABLE], 8080)
    assert not is_served([TABLE], 8081)


@pytest.mark.parametrize(("declared", "seconds"), [(None, 600), ("30s", 60), ("4h", 14_430)])
def test_replica_has_as_long_to_end_as_a_request_may_take(
    declared: str | None, seconds: int
) -> None:
    limits: dict[str, Json] = {"limits": {"requestTime": declared}} if declared else {}
    plan = plan_pool(fresh(gateway=limits), SETTINGS)
    (deployment,) = (each for each in plan.wanted if each["kind"] == "Deployment")
    pod = at(deployment, "spec", "template", "spec")
    assert pod is not None
    engine, drainer = items(pod, "containers")
    assert drainer["command"] == [
        "python3", "-m", "paddock.drainer", "9091", "8080", "30", str(seconds),
    ]  # fmt: skip
    assert pod["terminationGracePeriodSeconds"] == seconds + 15
    assert at(engine, "lifecycle", "preStop") == {"httpGet": {"path": "/drain", "port": 9091}}
