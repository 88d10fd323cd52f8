"""The Collector of a gateway: from Envoy's words to OpenTelemetry's, and to each pool's receiver.

Pure. Each receiver gets what concerns its pools, and of a span and a record only what is listed.
"""

import json
from collections.abc import Iterator, Sequence

import yaml

from paddock import names
from paddock.api.inferencepool import InferencePool, Otlp, tells_spans
from paddock.plan.gateway.content import CONTENT, CUT, is_recorded
from paddock.plan.gateway.signals import CALLER
from paddock.plan.gateway.signals import STATUS as _STATUS
from paddock.plan.telemetry.collector import exporter_of
from paddock.plan.telemetry.collector_config import own_telemetry
from paddock.plan.telemetry.request_metrics import LOST, REQUEST_METRICS, UPTIME, RequestMetric
from paddock.plan.telemetry.spans import (
    ENGINE,
    FROM_ENGINE,
    KEPT,
    POOL,
    named_by_their_resource,
    none_of,
    spans_of_others,
)
from paddock.wire import Json

_MODEL, _FLAGS = "gen_ai.request.model", "paddock.response.flags"
_OPERATIONS = (
    ("chat", "(chat|chat/completions|responses)"),
    ("text_completion", "(/v1/completions|generate)"),
    ("embeddings", "(embed|embeddings)"),
    ("rerank", "rerank"),
)
_DETAILS = "gen_ai.client.inference.operation.details"
_TOKENS = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
_MICROSECONDS_UNTIL = 10**17
_NOTHING = "-"
"""What an Envoy says in records where it has nothing to say; in metrics it says nothing."""
_KEPT = (
    _MODEL, "gen_ai.operation.name", "gen_ai.provider.name", *_TOKENS, POOL, ENGINE, CALLER,
    "http.route", "http.request.method", _STATUS, "error.type", "paddock.duration_ms",
    "paddock.first_byte_ms",
)  # fmt: skip


def build_gateway_config(
    pools: Sequence[InferencePool],
    *,
    port: int = names.OTLP_PORT,
    own_port: int = names.COLLECTOR_PORT,
) -> str:
    """Return the configuration for these pools, all of which ask for telemetry."""
    receivers = _by_receiver(pools)
    exporters: dict[str, Json] = {}
    filters: dict[str, Json] = {}
    pipelines: dict[str, Json] = {}
    for index, (otlp, concerned) in enumerate(receivers):
        (kind, body), *_ = exporter_of(otlp).items()
        exporters[f"{kind}/{index}"] = body
        filters[f"filter/{index}"] = _only(concerned, _telling(pools))
        for signal in ("metrics", "logs", "traces"):
            pipelines[f"{signal}/{index}"] = {
                "receivers": ["otlp"],
                "processors": ["memory_limiter", f"filter/{index}", "transform", "batch"],
                "exporters": [f"{kind}/{index}"],
            }
    config: dict[str, Json] = {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": f"0.0.0.0:{port}"}}}},
        "processors": {
            "memory_limiter": {
                "check_interval": "1s",
                "limit_percentage": 75,
                "spike_limit_percentage": 20,
            },
            **filters,
            "transform": {"error_mode": "ignore", **_transforms(_recorded(pools), _telling(pools))},
            "batch": {"timeout": "1s", "send_batch_max_size": 8192},
        },
        "exporters": exporters,
        "service": {
            "telemetry": own_telemetry(own_port),
            "pipelines": pipelines,
        },
    }
    text: str = yaml.safe_dump(config, sort_keys=False, width=1000)
    return text


def _by_receiver(pools: Sequence[InferencePool]) -> list[tuple[Otlp, list[str]]]:
    found: dict[str, tuple[Otlp, list[str]]] = {}
    for pool in sorted(pools, key=lambda pool: pool.metadata.name):
        if pool.spec.telemetry is not None:
            otlp = pool.spec.telemetry.otlp
            key = json.dumps(otlp.model_dump(), sort_keys=True)
            found.setdefault(key, (otlp, []))[1].append(pool.metadata.name)
    return [found[key] for key in sorted(found)]


def _only(pools: Sequence[str], telling: Sequence[str]) -> Json:
    """Drop what concerns other pools; numbers and records of requests for none pass, not spans."""
    pool = f'attributes["{POOL}"]'
    others = none_of(pool, pools)
    of_a_pool = f'{pool} != nil and {pool} != "" and {pool} != "{_NOTHING}" and {others}'
    return {
        "error_mode": "ignore",
        "metrics": {"datapoint": [of_a_pool]},
        "logs": {"log_record": [of_a_pool]},
        "traces": {
            "span": [f"{others} and not({FROM_ENGINE})", spans_of_others(pools)]
            if telling
            else [others]
        },
    }


def _recorded(pools: Sequence[InferencePool]) -> list[str]:
    return sorted(pool.metadata.name for pool in pools if is_recorded(pool))


def _telling(pools: Sequence[InferencePool]) -> list[str]:
    return sorted(pool.metadata.name for pool in pools if tells_spans(pool.spec))


def _transforms(recorded: Sequence[str], telling: Sequence[str]) -> dict[str, Json]:
    shaped = [*_common(), f'delete_key(attributes, "{_FLAGS}")']
    kept = _keep((*_KEPT, *KEPT)) if telling else _keep(_KEPT)
    content = (CUT, *CONTENT) if recorded else ()
    operation = 'attributes["gen_ai.operation.name"]'
    metrics = [*REQUEST_METRICS, *LOST, UPTIME]
    return {
        "metric_statements": [
            {
                "context": "datapoint",
                "statements": [*shaped, *_losses(), _right_start(), _with_namespace()],
            },
            {
                "context": "metric",
                "statements": [said for each in metrics for said in _rename(each)],
            },
        ],
        "log_statements": [
            {
                "context": "log",
                "statements": [
                    *shaped,
                    *_numbers(),
                    _keep((*_KEPT, *content)),
                    *(_content(recorded) if recorded else ()),
                ],
            }
        ],
        "trace_statements": [
            {
                "context": "span",
                "statements": [
                    *(named_by_their_resource() if telling else ()),
                    *shaped,
                    'set(attributes["http.request.method"], attributes["http.method"])',
                    f'set(name, Concat([{operation}, attributes["{_MODEL}"]], " "))'
                    + (f" where not({FROM_ENGINE})" if telling else ""),
                    'set(status.code, 2) where attributes["error.type"] != nil',
                    *_numbers(),
                    kept,
                ],
            }
        ],
    }


def _keep(keys: Sequence[str]) -> str:
    return f"keep_keys(attributes, {json.dumps(list(keys))})"


def _content(recorded: Sequence[str]) -> Iterator[str]:
    """Yield how prompts and answers become what the conventions call them, of these pools only."""
    others = none_of(f'attributes["{POOL}"]', recorded)
    for key in (CUT, *CONTENT):
        nothing = f'attributes["{key}"] == "{_NOTHING}"'
        yield f'delete_key(attributes, "{key}") where {nothing} or ({others})'
    for key in CONTENT:
        value = f'attributes["{key}"]'
        yield f'set(event_name, "{_DETAILS}") where {value} != nil'
        yield f"set({value}, ParseJSON({value})) where {value} != nil"
    yield f'set(attributes["{CUT}"], true) where attributes["{CUT}"] != nil'


def _common() -> Iterator[str]:
    """Yield what is said alike of requests in metrics, records and spans."""
    status, flags = f'attributes["{_STATUS}"]', f'attributes["{_FLAGS}"]'
    yield f'set(attributes["error.type"], {status}) where {status} != nil and Int({status}) >= 400'
    yield (
        f'set(attributes["error.type"], {flags}) where attributes["error.type"] == nil '
        f'and {flags} != nil and {flags} != "{_NOTHING}"'
    )
    for operation, pattern in _OPERATIONS:
        yield (
            f'set(attributes["gen_ai.operation.name"], "{operation}") '
            f'where IsMatch(attributes["http.route"], "{pattern}$")'
        )
    for key in (CALLER, _MODEL, POOL, ENGINE):
        value = f'attributes["{key}"]'
        yield f'delete_key(attributes, "{key}") where {value} == "" or {value} == "{_NOTHING}"'
    engine = f'attributes["{ENGINE}"]'
    for name, provider in (("LlamaCpp", "llama_cpp"), ("Ollama", "ollama"), ("VLLM", "vllm")):
        yield f'set(attributes["gen_ai.provider.name"], "{provider}") where {engine} == "{name}"'


def _losses() -> Iterator[str]:
    for each in LOST:
        said = f'set(attributes["{each.label}"], "{each.signal}")'
        yield f'{said} where metric.name == "{each.source}"'


def _right_start() -> str:
    """Envoy 1.40 gives the start of its sums in microseconds, where nanoseconds are asked for."""
    start = "start_time_unix_nano"
    return f"set({start}, {start} * 1000) where {start} < {_MICROSECONDS_UNTIL}"


def _with_namespace() -> str:
    """Name the namespace beside the pool, as Prometheus keeps no attributes of resources."""
    return 'set(attributes["paddock.namespace"], resource.attributes["k8s.namespace.name"])'


def _rename(metric: RequestMetric) -> Iterator[str]:
    where = f'where name == "{metric.source}"'
    if metric.factor != 1:
        yield f'scale_metric({metric.factor:.6f}, "{metric.unit}") {where}'
    yield f'set(unit, "{metric.unit}") {where}'
    yield f'set(description, "{metric.meaning}") {where}'
    yield f'set(name, "{metric.name}") {where}'


def _numbers() -> Iterator[str]:
    """Yield how numbers that Envoy told as texts become numbers, and how those it lacks go."""
    for key in (*_TOKENS, _STATUS, "paddock.duration_ms", "paddock.first_byte_ms"):
        yield f'delete_key(attributes, "{key}") where attributes["{key}"] == "{_NOTHING}"'
        yield f'set(attributes["{key}"], Int(attributes["{key}"])) where attributes["{key}"] != nil'
