"""A caller's trace goes on into the engine, whose own spans arrive as part of it.

The engine's are made by OpenTelemetry's SDK from the environment that vLLM gets; a stock Collector
brings them by gRPC, as vLLM does.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import yaml
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from paddock.api.inferencepool import EngineName
from paddock.plan.engines.vllm import PROFILE
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.replica import pooled_models
from support.answering import answering
from support.collector import attributes_of, running
from support.envoys import free_place, gateway
from support.gateways import ALPHA
from support.ports import free_port
from support.signals import COLLECTOR, collecting_requests, measured, often
from support.stores import pool_of, renamed

pytestmark = pytest.mark.contract
POOL = measured(renamed(pool_of(EngineName.VLLM, "alpha"), "talk"), spans=True)
TRACE = "0af7651916cd43dd8448eb211c80319c"
CANARY = "canary-55d1"


@contextmanager
def by_grpc(folder: Path, address: str) -> Iterator[str]:
    """Run a Collector that brings spans on by gRPC, and give where it takes them."""
    folder.mkdir()
    port = free_port()
    config = {
        "receivers": {"otlp": {"protocols": {"http": {"endpoint": f"127.0.0.1:{port}"}}}},
        "exporters": {"otlp": {"endpoint": address, "tls": {"insecure": True}}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}},
            "pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp"]}},
        },
    }
    with running(folder, yaml.safe_dump(config), f"http://127.0.0.1:{port}/"):
        yield f"http://127.0.0.1:{port}/v1/traces"


def tell(url: str, resource: str, traceparent: str) -> None:
    """Make one span as vLLM makes it of a request."""
    named = dict(pair.split("=") for pair in resource.split(","))
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=url)))
    parent = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    told = {"gen_ai.latency.time_in_queue": 0.25, "gen_ai.prompt": CANARY}
    with provider.get_tracer("vllm").start_as_current_span("llm_request", parent, attributes=told):
        pass
    provider.shutdown()


def test_engines_span_is_below_the_gateways_in_the_callers_trace(tmp_path: Path) -> None:
    place = free_place(tmp_path)
    models = {"alpha": ALPHA}
    environment = PROFILE.run(POOL, pooled_models(POOL, models)).env
    resource = environment["OTEL_RESOURCE_ATTRIBUTES"]
    rendering = often(render("team", [POOL], models, Surroundings(place=place)))
    with (
        answering("engine") as engine,
        collecting_requests(tmp_path / "collector", [POOL]) as signals,
        by_grpc(tmp_path / "engine", signals.address) as url,
        gateway(
            rendering, place, tmp_path, {"talk.team": engine.address, COLLECTOR: signals.address}
        ) as front,
    ):
        answer = httpx.post(
            f"{front.url}/v1/completions",
            json={"model": "alpha", "prompt": CANARY},
            headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"},
            timeout=60,
        )
        assert answer.status_code == 200, answer.text
        passed_on = engine.headers[0]["traceparent"]
        tell(url, resource.replace("talk", "another"), passed_on)
        tell(url, resource, passed_on)
        spans = signals.until("both spans", lambda: both(signals.received.spans()))
        text = signals.received.text

    above, below = (spans[name] for name in ("text_completion alpha", "llm_request"))
    assert passed_on == f"00-{TRACE}-{above['spanId']}-01"
    assert (below["traceId"], below["parentSpanId"]) == (TRACE, above["spanId"])
    assert attributes_of(below) == {
        "paddock.pool": "talk", "paddock.engine": "VLLM", "gen_ai.provider.name": "vllm",
        "gen_ai.latency.time_in_queue": "0.25",
    }  # fmt: skip
    assert "another" not in text
    assert CANARY not in text


def both(spans: list[dict[str, str]]) -> dict[str, dict[str, str]] | None:
    named = {span["name"]: span for span in spans}
    return named if len(named) == 2 else None
