"""Users' own Collectors as receivers: over both protocols, and each of what its pools ask alone."""

from pathlib import Path

import pytest

from support.billing import FIRST, SECOND, ask_many, billed, front
from support.collector import Received, collecting
from support.metered import metered
from support.signals import Signals, collecting_requests, measured

pytestmark = pytest.mark.contract


def test_users_own_collectors_get_what_concerns_their_pools_over_http_and_grpc(
    tmp_path: Path,
) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with (
        metered() as backend,
        collecting(tmp_path / "one") as over_http,
        collecting(tmp_path / "two") as over_grpc,
    ):
        pools = (
            measured(FIRST, over_http.otlp, sampling=100),
            measured(SECOND, over_grpc.grpc, protocol="grpc"),
        )
        with (
            collecting_requests(tmp_path / "own", pools, as_named=True) as managed,
            front(tmp_path / "envoy", managed.address, backend, pools=pools) as running,
        ):
            told = ask_many(running.url, 40, seed=8)
            for pool, received in (("first", over_http), ("second", over_grpc)):
                mine = {series: count for series, count in told.items() if series[1] == pool}
                signals = signals_of(received)
                signals.until("its tokens", lambda mine=mine, got=signals: billed(got) == mine)
                signals.until("its records", lambda got=signals: got.records())
                signals.until("its spans", lambda got=signals: got.received.spans())
                told_of = {each["paddock.pool"] for each in signals.records()}
                assert told_of == {pool}


def signals_of(received: Received) -> Signals:
    return Signals(received, "", Path(), 0)
