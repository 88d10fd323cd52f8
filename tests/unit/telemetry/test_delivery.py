"""Whether metrics arrive: a Collector's own count from look to look, and what is said of it."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from paddock.api.reasons import ConditionType, Reason
from paddock.facts import DeliveryFact, PodFact, PoolFacts
from paddock.observe.delivery import Deliveries, sent_points
from paddock.status.conditions import Verdict
from paddock.status.telemetry import QUIET_SECONDS, telemetry_verdicts
from support.pools import fresh, said, settled, status_of

TELEMETRY: Any = {"collector": "Managed", "otlp": {"endpoint": "http://receiver:4318"}}
COLLECTOR = PodFact("chat-collector-1", "uid-c", "Running", ip="10.0.0.9", ready=True)
ASKED = replace(fresh(telemetry=TELEMETRY), collectors=(COLLECTOR,))
ARRIVES = Verdict(ConditionType.TELEMETRY_READY, "True", Reason.DATA_ARRIVES,
                  "Metrics arrive at http://receiver:4318.")  # fmt: skip


def verdict(facts: PoolFacts, replicas: int = 1) -> Verdict:
    (found,) = telemetry_verdicts(facts, replicas)
    return found


def test_pool_that_asks_for_nothing_is_told_nothing() -> None:
    assert telemetry_verdicts(fresh(), 1) == ()


@pytest.mark.parametrize(
    ("delivery", "status", "reason"),
    [
        (None, "Unknown", Reason.NOT_CHECKED),
        (DeliveryFact(grew=False, quiet_seconds=0), "Unknown", Reason.NOT_CHECKED),
        (DeliveryFact(grew=True, quiet_seconds=0), "True", Reason.DATA_ARRIVES),
        (DeliveryFact(grew=True, quiet_seconds=QUIET_SECONDS), "True", Reason.DATA_ARRIVES),
        (DeliveryFact(grew=True, quiet_seconds=QUIET_SECONDS + 1), "False", Reason.NOT_DELIVERED),
        (DeliveryFact(grew=False, quiet_seconds=QUIET_SECONDS + 1), "False", Reason.NOT_DELIVERED),
    ],
)
def test_only_growing_counts_prove_arrival(
    delivery: DeliveryFact | None, status: str, reason: Reason
) -> None:
    found = verdict(replace(ASKED, delivery=delivery))
    assert (found.status, found.reason) == (status, reason)


def test_operator_that_starts_again_keeps_what_was_proven_until_it_knows_better() -> None:
    before: Any = {
        "conditions": [
            {"type": "TelemetryReady", "status": "True", "reason": "DataArrives",
             "message": ARRIVES.message, "lastTransitionTime": "2026-01-01T11:00:00Z",
             "observedGeneration": ASKED.pool.metadata.generation},
        ],
    }  # fmt: skip
    status = ASKED.pool.status.model_validate(before)
    known = replace(ASKED, pool=ASKED.pool.model_copy(update={"status": status}))
    first_look = DeliveryFact(grew=False, quiet_seconds=0)
    assert verdict(replace(known, delivery=first_look)) == ARRIVES


def test_collector_that_is_not_ready_and_pool_without_replicas_are_said() -> None:
    loading = replace(COLLECTOR, ready=False)
    assert verdict(replace(ASKED, collectors=(loading,))).reason is Reason.WAITING_FOR_PODS
    assert verdict(ASKED, replicas=0).reason is Reason.SCALED_TO_ZERO


@pytest.mark.parametrize("collectors", [(), (COLLECTOR,)], ids=["no Collector", "nothing arrives"])
def test_pool_that_serves_is_ready_though_nothing_measures_it(
    collectors: tuple[PodFact, ...],
) -> None:
    silent = DeliveryFact(grew=False, quiet_seconds=QUIET_SECONDS + 1)
    found = status_of(replace(settled(ASKED), collectors=collectors, delivery=silent))
    assert said(found, ConditionType.READY) == ("True", Reason.READY)
    assert said(found, ConditionType.TELEMETRY_READY)[0] == "False"


def counts(*numbers: float) -> httpx.AsyncClient:
    """Return a client whose Collector tells these counts, one after the other."""
    left = list(numbers)

    def answer(request: httpx.Request) -> httpx.Response:
        assert str(request.url) == "http://10.0.0.9:8888/metrics"
        line = f'otelcol_exporter_sent_metric_points_total{{exporter="otlphttp"}} {left.pop(0)}'
        return httpx.Response(200, text=f"# HELP x y\n{line}\n")

    return httpx.AsyncClient(transport=httpx.MockTransport(answer))


async def test_count_is_followed_from_look_to_look_and_begins_anew_with_a_new_pod() -> None:
    deliveries, client = Deliveries(), counts(5, 5, 9, 9, 2)
    found = [await deliveries.of(client, [COLLECTOR], now) for now in (0, 30, 60, 90)]
    assert found == [
        DeliveryFact(grew=False, quiet_seconds=0),
        DeliveryFact(grew=False, quiet_seconds=30),
        DeliveryFact(grew=True, quiet_seconds=0),
        DeliveryFact(grew=True, quiet_seconds=30),
    ]
    other = replace(COLLECTOR, uid="uid-d")
    assert await deliveries.of(client, [other], 120) == DeliveryFact(grew=False, quiet_seconds=0)


async def test_collector_that_is_away_says_nothing() -> None:
    gone = replace(COLLECTOR, ip=None)
    assert await Deliveries().of(counts(), [gone], 0) is None


def test_counts_of_all_exporters_and_of_metrics_only_are_summed() -> None:
    text = (
        'otelcol_exporter_sent_metric_points_total{exporter="a"} 3\n'
        'otelcol_exporter_sent_metric_points_total{exporter="b"} 4\n'
        'otelcol_exporter_send_failed_metric_points_total{exporter="a"} 9\n'
        'otelcol_exporter_sent_spans_total{exporter="a"} 7\n'
    )
    assert sent_points(text) == 7
    assert sent_points("") == 0
