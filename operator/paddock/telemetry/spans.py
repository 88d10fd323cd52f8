"""Spans of passes and stages, through OpenTelemetry's API; without an SDK they cost nothing.

A span that failed names the error's type only: the words of an error may be a user's.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace

_tracer = trace.get_tracer("paddock")


@contextmanager
def span(stage: str, **attributes: str) -> Iterator[None]:
    """Run a stage in its span."""
    with _tracer.start_as_current_span(
        stage, attributes=attributes, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield
        except Exception as error:
            current.set_attribute("error.type", type(error).__name__)
            current.set_status(trace.StatusCode.ERROR)
            raise
