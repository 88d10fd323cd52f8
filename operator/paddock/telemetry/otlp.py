"""Our spans and metrics to an OTLP receiver: OpenTelemetry's SDK, imported only when asked for.

Nothing here can hold up a pass: everything is sent from threads, buffers have bounds, what cannot
be delivered is counted and given up, and one log line a minute says so.
"""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, TypeVar

from opentelemetry import metrics, trace
from opentelemetry.metrics import CallbackOptions, Histogram, Observation

from paddock.settings import VERSION, Settings
from paddock.telemetry.catalog import Metric, MetricKind
from paddock.telemetry.registry import Labels, Registry

if TYPE_CHECKING:
    from paddock.telemetry.delivery import Pipeline

log = logging.getLogger("paddock.telemetry")
_HOP_SECONDS = 5.0
_STOP_SECONDS = 2.0
_T = TypeVar("_T")


@asynccontextmanager
async def exporting(registry: Registry, settings: Settings) -> AsyncIterator[None]:
    """Export while the block runs, if an endpoint is set; end within two seconds whatever it does.

    Imports the SDK only then: it takes 12 MiB.
    """
    if settings.otlp_endpoint is None:
        yield
        return
    from paddock.telemetry.delivery import Pipeline  # noqa: PLC0415 - the SDK, only when asked for

    pipeline = Pipeline(
        settings.otlp_endpoint,
        {
            "service.name": "paddock-operator",
            "service.version": VERSION,
            "service.instance.id": settings.identity,
            "k8s.namespace.name": settings.operator_namespace,
        },
        registry.drop,
        settings.delays,
    )
    trace.set_tracer_provider(pipeline.tracers)
    metrics.set_meter_provider(pipeline.meters)
    _observe(registry, asyncio.get_running_loop())
    try:
        yield
    finally:
        await _stopped(pipeline)


def _observe(registry: Registry, loop: asyncio.AbstractEventLoop) -> None:
    """Make one instrument for each metric; sums and gauges are read from the registry."""
    meter = metrics.get_meter("paddock")
    histograms: dict[str, Histogram] = {}
    for metric in registry.metrics:
        words = {"unit": metric.unit, "description": metric.meaning}
        if metric.kind is MetricKind.HISTOGRAM:
            histograms[metric.name] = meter.create_histogram(
                metric.name, explicit_bucket_boundaries_advisory=metric.bounds, **words
            )
            continue
        create = (
            meter.create_observable_counter
            if metric.kind is MetricKind.COUNTER
            else meter.create_observable_gauge
        )
        create(metric.name, [_reader(registry, metric, loop)], **words)

    def listen(metric: Metric, labels: Labels, value: float) -> None:
        histograms[metric.name].record(value, dict(zip(metric.labels, labels, strict=True)))

    registry.listener = listen


def _reader(
    registry: Registry, metric: Metric, loop: asyncio.AbstractEventLoop
) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def read(_: CallbackOptions) -> Iterable[Observation]:
        try:
            collected = _asked(loop, lambda: registry.collect_one(metric))
        except (RuntimeError, TimeoutError):  # the loop has ended, or is held up
            return []
        return [
            Observation(number, dict(zip(metric.labels, labels, strict=True)))
            for labels, number in collected.numbers.items()
        ]

    return read


def _asked(loop: asyncio.AbstractEventLoop, ask: Callable[[], _T]) -> _T:
    """Have the event loop, which owns the numbers, answer this thread."""
    future: Future[_T] = Future()

    def answer() -> None:
        try:
            future.set_result(ask())
        except Exception as error:  # noqa: BLE001 - it is raised where it was asked
            future.set_exception(error)

    loop.call_soon_threadsafe(answer)
    return future.result(_HOP_SECONDS)


async def _stopped(pipeline: "Pipeline") -> None:
    """Send what is left, for a moment; a thread that hangs on a receiver dies with the process."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def stop() -> None:
        pipeline.stop()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=stop, name="telemetry-end", daemon=True).start()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await ended.wait()
    except TimeoutError:
        log.warning("the last telemetry was not delivered")
