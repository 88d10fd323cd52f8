"""What cannot be delivered is counted, bounded, and said once a minute; unasked, no SDK."""

import logging
import re
import threading
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from paddock.telemetry.delivery import QUEUE_SIZE, BoundedSpans, Losses

PACKAGE = Path(__file__).resolve().parents[3] / "operator" / "paddock"


class Ledger:
    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def __call__(self, signal: str, count: int) -> None:
        self.counts[signal] += count


class Stuck(SpanExporter):
    """A receiver that does not answer until it is let go, and then refuses."""

    def __init__(self) -> None:
        self.release, self.entered, self.seen = threading.Event(), threading.Event(), 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.entered.set()
        assert self.release.wait(20)
        self.seen += len(spans)
        return SpanExportResult.FAILURE

    def shutdown(self) -> None:
        pass


def test_losses_are_said_once_a_minute_with_their_sum(caplog: pytest.LogCaptureFixture) -> None:
    moment, ledger = [0.0], Ledger()
    losses = Losses(ledger, lambda: moment[0])
    with caplog.at_level(logging.WARNING, "paddock.telemetry"):
        for second in range(0, 125, 5):
            moment[0] = float(second)
            losses.lost("spans", 10)
    said = [vars(record)["spans"] for record in caplog.records]
    assert said == [10, 120, 120]
    assert ledger.counts == {"spans": 250}


def test_stuck_receiver_holds_a_bounded_queue_and_every_span_is_accounted_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger, stuck = Ledger(), Stuck()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(BoundedSpans(stuck, Losses(ledger), every=0.5))
    tracer = provider.get_tracer("test")
    for _ in range(QUEUE_SIZE):
        tracer.start_span("pass").end()
    assert stuck.entered.wait(20)
    for _ in range(2 * QUEUE_SIZE):
        tracer.start_span("pass").end()
    assert ledger.counts["spans"] == 2 * QUEUE_SIZE
    stuck.release.set()
    provider.shutdown()
    assert stuck.seen == QUEUE_SIZE
    assert ledger.counts["spans"] == 3 * QUEUE_SIZE
    assert len(caplog.records) == 1


def test_only_the_delivery_imports_the_sdk_and_it_is_imported_only_when_asked_for() -> None:
    users, eager = set(), set()
    for file in PACKAGE.rglob("*.py"):
        for line in file.read_text().splitlines():
            if re.match(r"\s*(from|import) opentelemetry\.(sdk|exporter)", line):
                users.add(file.name)
            if line.startswith("from paddock.telemetry.delivery"):
                eager.add(file.name)
    assert (users, eager) == ({"delivery.py"}, set())
