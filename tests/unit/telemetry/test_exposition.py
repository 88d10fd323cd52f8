"""What Prometheus reads, byte for byte."""

from paddock.telemetry import catalog
from paddock.telemetry.exposition import exposition, prometheus_name
from paddock.telemetry.registry import Registry


def test_sums_gauges_and_histograms_are_written_as_prometheus_reads_them() -> None:
    registry = Registry([catalog.QUEUE_DEPTH, catalog.PASSES, catalog.READY_DURATION])
    registry.read(catalog.QUEUE_DEPTH, lambda: {(): 3})
    registry.read(catalog.PASSES, lambda: {("localmodels", "Done"): 7})
    for seconds in (0.5, 4.0, 30_000.0):
        registry.record(catalog.READY_DURATION, seconds, "localmodels")
    lines = exposition(registry.collect()).splitlines()
    kind = 'kind="localmodels"'
    assert lines[:6] == [
        "# HELP paddock_queue_depth Objects whose pass is due now.",
        "# TYPE paddock_queue_depth gauge",
        "paddock_queue_depth 3",
        "# HELP paddock_passes_total Passes ended.",
        "# TYPE paddock_passes_total counter",
        f'paddock_passes_total{{{kind},outcome="Done"}} 7',
    ]
    assert lines[7:10] == [
        "# TYPE paddock_ready_duration_seconds histogram",
        f'paddock_ready_duration_seconds_bucket{{{kind},le="1"}} 1',
        f'paddock_ready_duration_seconds_bucket{{{kind},le="5"}} 2',
    ]
    assert lines[-3:] == [
        f'paddock_ready_duration_seconds_bucket{{{kind},le="+Inf"}} 3',
        f"paddock_ready_duration_seconds_sum{{{kind}}} 30004.5",
        f"paddock_ready_duration_seconds_count{{{kind}}} 3",
    ]


def test_label_values_cannot_break_out_of_their_quotes() -> None:
    registry = Registry([catalog.PULL_PROGRESS])
    registry.read(catalog.PULL_PROGRESS, lambda: {("a\nb", 'c"} 1\\'): 1})
    assert exposition(registry.collect()).splitlines()[2:] == [
        'paddock_pull_progress_bytes{namespace="a\\nb",model="c\\"} 1\\\\"} 1'
    ]


def test_names_are_those_that_a_collector_would_give() -> None:
    assert {metric.name: prometheus_name(metric) for metric in catalog.OPERATOR[:5]} == {
        "paddock.queue.depth": "paddock_queue_depth",
        "paddock.passes": "paddock_passes_total",
        "paddock.pass.duration": "paddock_pass_duration_seconds",
        "paddock.api.requests": "paddock_api_requests_total",
        "paddock.api.received": "paddock_api_received_bytes_total",
    }
