"""A gateway's own Collector on loopback, and the requests that it told a receiver of."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import httpx
import yaml

from paddock import names
from paddock.api.inferencepool import InferencePool, Otlp, Telemetry
from paddock.plan.gateway.rendering import Rendering
from paddock.plan.gateway.signals import FLUSH_SECONDS
from paddock.plan.telemetry.collector import exporter_of
from paddock.plan.telemetry.gateway_config import build_gateway_config
from support.collector import Received, attributes_of, running, sink, to_sink
from support.ports import free_port

COLLECTOR = f"{names.GATEWAY_COLLECTOR}.team"
ALSO = "otlphttp/also"
"""The exporter to one more receiver."""


def measured(
    pool: InferencePool,
    endpoint: str = "http://receiver:4318",
    *,
    protocol: Literal["grpc"] | None = None,
    sampling: int | None = None,
    captures: bool | None = None,
    spans: bool | None = None,
) -> InferencePool:
    """Return the pool, asking for telemetry."""
    otlp = Otlp(endpoint=endpoint, protocol=protocol)
    telemetry = Telemetry(
        collector="Managed", otlp=otlp, sampling=sampling, capture_content=captures,
        engine_spans=spans,
    )  # fmt: skip
    return pool.model_copy(update={"spec": pool.spec.model_copy(update={"telemetry": telemetry})})


def often(rendering: Rendering) -> Rendering:
    """Return the rendering with sums each second, not each fifth."""
    usual = f'"stats_flush_interval":"{FLUSH_SECONDS}s"'
    return replace(
        rendering,
        bootstrap=rendering.bootstrap.replace(usual, usual.replace(str(FLUSH_SECONDS), "1")),
    )


@dataclass(frozen=True, slots=True)
class Signals:
    """What one receiver got of a gateway; `address` is where Envoys push to."""

    received: Received
    address: str
    log: Path
    own_port: int
    """Where its Collector tells of itself."""

    def sums(self, name: str, *labels: str) -> Counter[tuple[str, ...]]:
        """Return the newest sums of a counter over all Envoys' lives, by these labels."""
        newest: dict[Any, tuple[tuple[str, ...], float]] = {}
        for life, point in self._points(name):
            told = attributes_of(point)
            series = (life, tuple(sorted(told.items())))
            value = float(point.get("asInt", point.get("count", 0)))
            newest[series] = tuple(told.get(label, "") for label in labels), value
        found: Counter[tuple[str, ...]] = Counter()
        for key, value in newest.values():
            found[key] += int(value)
        return found

    def labels(self, name: str) -> set[frozenset[tuple[str, str]]]:
        return {frozenset(attributes_of(point).items()) for _, point in self._points(name)}

    def _points(self, name: str) -> Iterator[tuple[Any, Any]]:
        for batch in self.received.batches("resourceMetrics"):
            origin = tuple(sorted(attributes_of(batch["resource"]).items()))
            for scope in batch["scopeMetrics"]:
                for metric in scope["metrics"]:
                    if metric["name"] == name:
                        body = metric.get("sum") or metric.get("histogram") or metric["gauge"]
                        for point in body["dataPoints"]:
                            yield (origin, point.get("startTimeUnixNano")), point

    def records(self) -> list[dict[str, str]]:
        return [
            {**attributes_of(record), "trace": record.get("traceId", "")}
            for record in self.log_records()
        ]

    def log_records(self) -> Iterator[Any]:
        for batch in self.received.batches("resourceLogs"):
            for scope in batch["scopeLogs"]:
                yield from scope["logRecords"]

    def until(self, what: str, check: Any) -> Any:
        return self.received.until(what, check)

    def waiting(self, exporter: str) -> float:
        """Return how many batches wait for a receiver that is away."""
        told = httpx.get(f"http://127.0.0.1:{self.own_port}/metrics", timeout=5).text
        size = rf'^otelcol_exporter_queue_size\{{[^}}]*exporter="{exporter}"[^}}]*\}} (\S+)$'
        return sum(float(each) for each in re.findall(size, told, re.MULTILINE))


@contextmanager
def collecting_requests(
    folder: Path,
    pools: Sequence[InferencePool],
    *,
    port: int | None = None,
    metrics_to: str | None = None,
    as_named: bool = False,
    also_to: Otlp | None = None,
) -> Iterator[Signals]:
    """Run the Collector that these pools' gateway has, before a receiver of all they name.

    Metrics go to a Prometheus instead, where one is named; `as_named` leaves the receivers to be
    those that the pools name, and `also_to` is one more.
    """
    folder.mkdir()
    port, own = port or free_port(), free_port()
    with sink() as (url, bodies):
        config = yaml.safe_load(build_gateway_config(pools, port=port, own_port=own))
        config["receivers"]["otlp"]["protocols"]["grpc"]["endpoint"] = f"127.0.0.1:{port}"
        replaced = {} if as_named else config["exporters"]
        for name, exporter in replaced.items():
            config["exporters"][name] = {**exporter, **to_sink(url)["otlphttp"]}
        if also_to is not None:
            config["exporters"][ALSO] = exporter_of(also_to)["otlphttp"]
            for pipeline in config["service"]["pipelines"].values():
                pipeline["exporters"].append(ALSO)
        if metrics_to is not None:
            config["exporters"]["prometheusremotewrite"] = {"endpoint": metrics_to}
            for name, pipeline in config["service"]["pipelines"].items():
                if name.startswith("metrics"):
                    pipeline["exporters"] = ["prometheusremotewrite"]
        with running(folder, yaml.safe_dump(config), f"http://127.0.0.1:{own}/metrics") as log:
            yield Signals(Received(bodies), f"127.0.0.1:{port}", log, own)
