"""Spans of passes and stages, through OpenTelemetry's API; without an SDK they cost nothing."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

_tracer = trace.get_tracer("paddock")


@contextmanager
def span(stage: str, **attributes: str) -> Iterator[None]:
    """Run a stage in its span."""
    with _tracer.start_as_current_span(stage, attributes=attributes):
        yield
