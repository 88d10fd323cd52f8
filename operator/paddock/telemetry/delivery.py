"""The SDK's pipeline to one receiver: bounded queues, losses counted, one complaint a minute.

The only module that imports OpenTelemetry's SDK. Runs in the SDK's threads.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    MetricExporter,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from paddock.settings import Delays

log = logging.getLogger("paddock.telemetry")
QUEUE_SIZE = 2048
_BATCH = 512
_QUIET_SECONDS = 60.0

Drop = Callable[[str, int], None]


class Losses:
    """Counts what was given up, and says so once a minute."""

    def __init__(self, drop: Drop, now: Callable[[], float] = time.monotonic) -> None:
        self._drop, self._now = drop, now
        self._lock = threading.Lock()
        self._unsaid: Counter[str] = Counter()
        self._said_at: float | None = None

    def lost(self, signal: str, count: int) -> None:
        """Take note of a loss."""
        self._drop(signal, count)
        with self._lock:
            self._unsaid[signal] += count
            now = self._now()
            if self._said_at is not None and now - self._said_at < _QUIET_SECONDS:
                return
            unsaid, self._unsaid, self._said_at = dict(self._unsaid), Counter(), now
        log.warning("telemetry not delivered", extra=unsaid)


class Pipeline:
    """The providers of one process, with their exporters to one receiver."""

    def __init__(
        self, endpoint: str, resource: Mapping[str, str], drop: Drop, delays: Delays
    ) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
        base, losses, patience = endpoint.rstrip("/"), Losses(drop), delays.telemetry_timeout
        described = Resource.create(dict(resource))
        spans = OTLPSpanExporter(endpoint=f"{base}/v1/traces", timeout=patience)
        self.tracers = TracerProvider(resource=described, shutdown_on_exit=False)
        self.tracers.add_span_processor(BoundedSpans(spans, losses, delays.telemetry_spans))
        reader = PeriodicExportingMetricReader(
            CountedMetrics(
                OTLPMetricExporter(endpoint=f"{base}/v1/metrics", timeout=patience), losses
            ),
            export_interval_millis=delays.telemetry_metrics * 1000,
            export_timeout_millis=patience * 1000,
        )
        self.meters = MeterProvider(
            metric_readers=[reader], resource=described, shutdown_on_exit=False
        )

    def stop(self) -> None:
        """Send what is left and end the threads."""
        self.meters.shutdown()
        self.tracers.shutdown()


class BoundedSpans(SpanProcessor):
    """The SDK's batches behind a bound of our own, which counts what it turns away."""

    def __init__(self, exporter: SpanExporter, losses: Losses, every: float) -> None:
        self._losses, self._lock, self._waiting = losses, threading.Lock(), 0
        self._batches = BatchSpanProcessor(
            CountedSpans(exporter, losses, self._taken),
            max_queue_size=QUEUE_SIZE,
            max_export_batch_size=_BATCH,
            schedule_delay_millis=every * 1000,
        )

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Nothing is kept of a span under way."""

    def on_end(self, span: ReadableSpan) -> None:
        """Queue an ended span, or count it as lost."""
        with self._lock:
            full = self._waiting >= QUEUE_SIZE
            self._waiting += 0 if full else 1
        if full:
            self._losses.lost("spans", 1)
        else:
            self._batches.on_end(span)

    def shutdown(self) -> None:
        """Send what is queued and end."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]  # the SDK types most, not this

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what is queued."""
        return self._batches.force_flush(timeout_millis)

    def _taken(self, count: int) -> None:
        with self._lock:
            self._waiting -= count


class CountedSpans(SpanExporter):
    """An exporter whose failures are counted; a batch counts as waiting until it is through."""

    def __init__(
        self, exporter: SpanExporter, losses: Losses, taken: Callable[[int], None]
    ) -> None:
        self._exporter, self._losses, self._taken = exporter, losses, taken

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send one batch."""
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            self._taken(len(spans))
            if result is not SpanExportResult.SUCCESS:
                self._losses.lost("spans", len(spans))
        return result

    def shutdown(self) -> None:
        """End the exporter."""
        self._exporter.shutdown()


class CountedMetrics(MetricExporter):
    """An exporter whose failures are counted; sums lose nothing, the next one brings all."""

    def __init__(self, exporter: MetricExporter, losses: Losses) -> None:
        super().__init__()
        self._exporter, self._losses = exporter, losses

    def export(
        self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: object
    ) -> MetricExportResult:
        """Send one collection."""
        result = MetricExportResult.FAILURE
        try:
            result = self._exporter.export(metrics_data, timeout_millis)
        finally:
            if result is not MetricExportResult.SUCCESS:
                self._losses.lost("metrics", 1)
        return result

    def force_flush(self, timeout_millis: float = 10_000) -> bool:
        """Nothing is kept here."""
        return self._exporter.force_flush(timeout_millis)

    def shutdown(self, timeout_millis: float = 30_000, **_: object) -> None:
        """End the exporter."""
        self._exporter.shutdown(timeout_millis)
