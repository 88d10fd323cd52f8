"""What an Envoy tells of its requests: counts and times, one log record and one span each. Pure.

All go to the gateway's own Collector. Names of models and pools are those of the route and the pod
that answered, never a caller's words; a URL loses its query before anything is kept of it.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from paddock import names
from paddock.api.inferencepool import InferencePool
from paddock.plan.gateway.content import CONTENT, CONTENT_METADATA, CUT, TRUNCATED
from paddock.plan.gateway.guards import ID, JWT_FILTER, KEY
from paddock.plan.gateway.identity import CALLER as HASHED
from paddock.plan.gateway.usage import INPUT, OUTPUT, PER_TOKEN, STREAMED
from paddock.plan.gateway.xds import METADATA, address, from_metadata, typed
from paddock.wire import Json

CLUSTER = "telemetry"
STATS = "paddock_requests"
FLUSH_SECONDS = 5
SAMPLING = 10
"""Of how many in a hundred requests a trace begins here, where the pool does not say."""
DROPPED = {
    "access_logs.open_telemetry_access_log.logs_dropped": "logs",
    "tracing.opentelemetry.spans_dropped": "spans",
}
"""What an Envoy counts as given up, by the signal it belongs to."""
ALIVE = "server.uptime"
_ANY_SENT = f".*({'|'.join((STATS, ALIVE, *DROPPED))}).*"
_LOG_BYTES, _SPANS = 64 * 1024, 1024
_HTTP2 = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_MODEL, _POOL, _ENGINE = "model", "pool", "engine"


def _nearest(key: str) -> str:
    """Return the format that gives what the pod says, or else its cluster, or else the route."""
    return _first_of(
        *(f"{each}:{METADATA}:{key}" for each in ("UPSTREAM_HOST", "CLUSTER", "ROUTE"))
    )


def _first_of(*places: str) -> str:
    operators = [{"command": "METADATA", "param": each} for each in places]
    return f"%COALESCE({json.dumps({'operators': operators})})%"


STATUS = "http.response.status_code"
LABELS: Mapping[str, str] = {
    "gen_ai.request.model": f"%METADATA(ROUTE:{METADATA}:{_MODEL})%",
    "paddock.pool": _nearest(_POOL),
    "paddock.engine": _nearest(_ENGINE),
    "http.route": "%PATH(NQ:PATH)%",
    STATUS: "%RESPONSE_CODE%",
    "paddock.response.flags": "%RESPONSE_FLAGS_LONG%",
}
CALLER = "paddock.caller"
_WHO = _first_of(f"DYNAMIC:{JWT_FILTER}:{KEY}:{ID}", f"DYNAMIC:{METADATA}:{HASHED}")
"""The id of a caller's key, or the hash of another identity; only of tokens that were verified."""
FIRST_BYTE = "%COMMON_DURATION(DS_RX_BEG:US_RX_BODY_BEG:ms)%"


def _known(key: str) -> str:
    return f"%DYNAMIC_METADATA({METADATA}:{key})%"


@dataclass(frozen=True, slots=True)
class Measure:
    """One number that an Envoy keeps; `value` is absent where requests are counted."""

    name: str
    value: str | None = None
    unit: str | None = None
    """That of a histogram."""
    tags: tuple[tuple[str, str], ...] = ()


_INPUT_TYPE, _OUTPUT_TYPE = (("gen_ai.token.type", "input"),), (("gen_ai.token.type", "output"),)


COUNT = Measure("requests")
REQUESTS = (
    COUNT,
    Measure("duration", "%DURATION%", "Milliseconds"),
)
STREAMS = (Measure("first_byte", FIRST_BYTE, "Milliseconds"),)
TOKENS = (
    Measure("tokens", _known(INPUT), tags=_INPUT_TYPE),
    Measure("tokens", _known(OUTPUT), tags=_OUTPUT_TYPE),
    Measure("tokens_used", _known(INPUT), "Unspecified", _INPUT_TYPE),
    Measure("tokens_used", _known(OUTPUT), "Unspecified", _OUTPUT_TYPE),
)
PER_TOKENS = (Measure("per_token", _known(PER_TOKEN), "Microseconds"),)


def about(model: str, pool: str, engine: str, also: Mapping[str, Json]) -> dict[str, Json]:
    """Return the metadata of a route: its model, its first pool, and what else is said there."""
    told = {**also, _MODEL: model, _POOL: pool, _ENGINE: engine}
    return {"filter_metadata": {METADATA: told}}


def served_from(pool: str, engine: str) -> dict[str, Json]:
    """Return the metadata of a pool's cluster and of its pods."""
    return {"filter_metadata": {METADATA: {_POOL: pool, _ENGINE: engine}}}


def access_logs(*, content: bool = False) -> list[Json]:
    """Return the loggers: counters and histograms, and one record for each request.

    With `content` a record holds what was kept of prompt and answer, too.
    """
    return [
        _stats(_MODEL, REQUESTS),
        _stats(OUTPUT, TOKENS),
        _stats(STREAMED, STREAMS),
        _stats(PER_TOKEN, PER_TOKENS),
        _refusals(),
        _records(_content() if content else {}),
    ]


def _gathered(key: str, *, absent: bool = False) -> Json:
    """Return the filter of the requests that have this metadata, or of those that have not.

    Envoy heeds no `invert` here: that a text is null is what never holds of one that is there.
    """
    value: Json = {"null_match": {}} if absent else {"present_match": True}
    matcher = {**from_metadata(METADATA, key), "value": value}
    return {"metadata_filter": {"matcher": matcher, "match_if_key_not_found": absent}}


def _stats(key: str, measures: tuple[Measure, ...]) -> Json:
    counters = [_counter(each) for each in measures if each.unit is None]
    histograms: list[Json] = [
        {"stat": _stat(each), "unit": each.unit, "value_format": each.value}
        for each in measures if each.unit is not None
    ]  # fmt: skip
    return _stats_logger(_gathered(key), counters=counters, histograms=histograms)


def _stats_logger(which: Json, **stats: Json) -> Json:
    config = typed(
        "extensions.access_loggers.stats.v3.Config", stats_scope={"prefix": STATS}, **stats
    )
    return {"name": "envoy.access_loggers.stats", "filter": which, "typed_config": config}


def _refusals() -> Json:
    """Count what is refused before its model is known, by status alone: a path is a caller's."""
    failed: Json = {"op": "GE", "value": {"default_value": 400, "runtime_key": "paddock.refused"}}
    both: list[Json] = [
        {"status_code_filter": {"comparison": failed}}, _gathered(_MODEL, absent=True),
    ]  # fmt: skip
    tag: Json = {"name": STATUS, "value_format": LABELS[STATUS]}
    counter: Json = {"stat": {"name": COUNT.name, "tags": [tag]}, "value_fixed": 1}
    return _stats_logger({"and_filter": {"filters": both}}, counters=[counter])


def _counter(measure: Measure) -> Json:
    stat = _stat(measure)
    return (
        {"stat": stat, "value_fixed": 1}
        if measure.value is None
        else {"stat": stat, "value_format": measure.value}
    )


def _stat(measure: Measure) -> Json:
    who = {CALLER: _WHO} if measure.unit is None else {}
    told = {**LABELS, **who, **dict(measure.tags)}
    tags: list[Json] = [{"name": name, "value_format": value} for name, value in told.items()]
    return {"name": measure.name, "tags": tags}


def _content() -> Mapping[str, str]:
    keys = {**CONTENT, CUT: TRUNCATED}
    return {name: f"%DYNAMIC_METADATA({CONTENT_METADATA}:{key})%" for name, key in keys.items()}


def _records(content: Mapping[str, str]) -> Json:
    fields = {
        **LABELS,
        CALLER: _WHO,
        "gen_ai.usage.input_tokens": _known(INPUT),
        "gen_ai.usage.output_tokens": _known(OUTPUT),
        "paddock.duration_ms": "%DURATION%",
        "paddock.first_byte_ms": FIRST_BYTE,
        **content,
    }
    config = typed(
        "extensions.access_loggers.open_telemetry.v3.OpenTelemetryAccessLogConfig",
        grpc_service=_receiver(),
        log_name="requests",
        disable_builtin_labels=True,
        resource_detectors=[_place()],
        buffer_flush_interval="1s",
        buffer_size_bytes=_LOG_BYTES,
        attributes={"values": [_string(name, value) for name, value in fields.items()]},
    )
    name = "envoy.access_loggers.open_telemetry"
    return {"name": name, "filter": _gathered(_MODEL), "typed_config": config}


def _string(key: str, value: str) -> Json:
    return {"key": key, "value": {"string_value": value}}


def traced_percent(pools: Iterable[InferencePool]) -> int | None:
    """Return of how many in a hundred requests a trace begins, or None where nobody asks.

    Envoy decides before it knows the route: the greatest of what pools ask holds for all.
    """
    asked = [each.spec.telemetry for each in pools if each.spec.telemetry is not None]
    percents = (SAMPLING if each.sampling is None else each.sampling for each in asked)
    return max(percents, default=None)


def tracing(percent: int) -> Json:
    """Return how spans are made: one for each request that a caller traces, and for some others."""
    provider = typed(
        "config.trace.v3.OpenTelemetryConfig",
        grpc_service=_receiver(),
        service_name=names.GATEWAY,
        resource_detectors=[_place()],
        max_cache_size=_SPANS,
        sampler=_as_callers_say_or(percent),
    )
    return {
        "provider": {"name": "envoy.tracers.opentelemetry", "typed_config": provider},
        "operation": "%PATH(NQ:PATH)%",
        "max_path_tag_length": 1,
        "custom_tags": list(_tags()),
    }


def _as_callers_say_or(percent: int) -> Json:
    """Return which requests have a span: where a caller's trace has one, and of others so many."""
    ratio = _sampler("TraceIdRatioBased", sampling_percentage={"numerator": percent})
    return _sampler("ParentBased", wrapped_sampler=ratio)


def _sampler(kind: str, **fields: Json) -> Json:
    """Return a sampler, whose name is its kind's in small letters."""
    name = re.sub("(?<!^)([A-Z])", r"_\1", kind).lower()
    package = "tracers.opentelemetry.samplers"
    config = typed(f"extensions.{package}.v3.{kind}SamplerConfig", **fields)
    return {"name": f"envoy.{package}.{name}", "typed_config": config}


def _tags() -> Iterator[Json]:
    for name, value in LABELS.items():
        yield {"tag": name, "value": value}
    for name, key in (("input", INPUT), ("output", OUTPUT)):
        yield {"tag": f"gen_ai.usage.{name}_tokens", "value": _known(key), "value_type": "INT"}


def _receiver() -> Json:
    return {"envoy_grpc": {"cluster_name": CLUSTER}, "timeout": "5s"}


def _place() -> Json:
    return {
        "name": "envoy.tracers.opentelemetry.resource_detectors.environment",
        "typed_config": typed(
            "extensions.tracers.opentelemetry.resource_detectors.v3."
            "EnvironmentResourceDetectorConfig"
        ),
    }


def sink() -> Json:
    """Return what brings the counters and histograms away, whole sums each time."""
    ours: Json = {
        "not_matcher": {
            "single_predicate": {
                "input": {
                    "name": "stat",
                    "typed_config": typed(
                        "extensions.matching.common_inputs.stats.v3.StatFullNameMatchInput"
                    ),
                },
                "value_match": {"safe_regex": {"google_re2": {}, "regex": _ANY_SENT}},
            }
        }
    }
    drop = typed("extensions.stat_sinks.open_telemetry.v3.SinkConfig.DropAction")
    matcher: Json = {
        "predicate": ours,
        "on_match": {"action": {"name": "drop", "typed_config": drop}},
    }
    config = typed(
        "extensions.stat_sinks.open_telemetry.v3.SinkConfig",
        grpc_service=_receiver(),
        resource_detectors=[_place()],
        custom_metric_conversions={"matcher_list": {"matchers": [matcher]}},
    )
    return {"name": "envoy.stat_sinks.open_telemetry", "typed_config": config}


def collector_cluster(host: str) -> Json:
    """Return the cluster of the Collector: a few requests at once, the rest is given up."""
    return {
        "name": CLUSTER,
        "type": "STRICT_DNS",
        "connect_timeout": "2s",
        "dns_lookup_family": "ALL",
        "circuit_breakers": {
            "thresholds": [{"max_requests": 64, "max_pending_requests": 64, "max_connections": 8}]
        },
        "typed_extension_protocol_options": {
            _HTTP2: typed(
                "extensions.upstreams.http.v3.HttpProtocolOptions",
                explicit_http_config={"http2_protocol_options": {}},
            )
        },
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": address(names.OTLP_PORT, host)}}]}
            ],
        },
    }
