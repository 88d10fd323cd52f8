"""A pool's Collector: what it scrapes, how it renames it, where it sends it. Pure.

Targets are a file of their own, which Prometheus' discovery reads again when it changes: pods come
and go without a restart, and without the operator.
"""

import json
from collections.abc import Iterable, Sequence

import yaml

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.facts import PodFact
from paddock.plan.engines.profile import PooledModel
from paddock.plan.telemetry.engine_metrics import SCRAPED, UP, EngineMetric
from paddock.wire import Json

FOLDER = "/etc/paddock-collector"
CONFIG, TARGETS = "collector.yaml", "targets.json"
SCRAPE_SECONDS = 15
SCRAPED_ENGINES = frozenset({EngineName.LLAMA_CPP, EngineName.VLLM})
"""Engines that answer /metrics; of Ollama 0.17.4 only requests are measured, by the gateway."""
_SAMPLES = 5_000
"""The most samples taken from one engine: an engine gone wild loses its scrape, not the memory."""


def build_config(exporter: Json, *, folder: str = FOLDER, own_port: int) -> str:
    """Return the Collector's configuration; `exporter` is the body of its one OTLP exporter."""
    name, body = _exporter(exporter)
    config: dict[str, Json] = {
        "receivers": {"prometheus": {"config": {"scrape_configs": [_scrape(folder)]}}},
        "processors": {
            "memory_limiter": {
                "check_interval": "1s",
                "limit_percentage": 75,
                "spike_limit_percentage": 20,
            },
            "filter": {"metrics": {"metric": ['IsMatch(name, "^scrape_")']}},
            "transform": {"metric_statements": [{"context": "metric", "statements": _renames()}]},
            "batch": {"timeout": "1s", "send_batch_max_size": 8192},
        },
        "exporters": {name: body},
        "service": {
            "telemetry": own_telemetry(own_port),
            "pipelines": {
                "metrics": {
                    "receivers": ["prometheus"],
                    "processors": ["memory_limiter", "filter", "transform", "batch"],
                    "exporters": [name],
                }
            },
        },
    }
    text: str = yaml.safe_dump(config, sort_keys=False, width=1000)
    return text


def _exporter(exporter: Json) -> tuple[str, Json]:
    """Return the exporter's type and body."""
    if not isinstance(exporter, dict) or len(exporter) != 1:
        raise TypeError("an exporter is one type with its body")
    return next(iter(exporter.items()))


def own_telemetry(port: int) -> Json:
    """Return where a Collector tells its own metrics, and how often it logs one message."""
    exporter: Json = {"prometheus": {"host": "0.0.0.0", "port": port}}  # noqa: S104 - the pod's own network
    sampling: Json = {"enabled": True, "tick": "60s", "initial": 1, "thereafter": 0}
    return {
        "logs": {"sampling": sampling, "disable_stacktrace": True},
        "metrics": {"readers": [{"pull": {"exporter": exporter}}]},
    }


def _scrape(folder: str) -> dict[str, Json]:
    wanted = sorted({own for metric in SCRAPED for own in metric.sources.values()})
    return {
        "job_name": "engines",
        "scrape_interval": f"{SCRAPE_SECONDS}s",
        "scrape_timeout": "10s",
        "sample_limit": _SAMPLES,
        "file_sd_configs": [{"files": [f"{folder}/{TARGETS}"], "refresh_interval": "15s"}],
        "metric_relabel_configs": [
            {
                "source_labels": ["__name__"],
                "regex": f"({'|'.join(wanted)})(_bucket|_sum|_count)?",
                "action": "keep",
            },
            {"source_labels": ["exported_engine"], "target_label": "rank"},
            {"regex": "model_name|exported_.*", "action": "labeldrop"},
        ],
    }


def _renames() -> list[Json]:
    return [
        statement
        for metric in (*SCRAPED, UP)
        for own in sorted(set(metric.sources.values()))
        for statement in _rename(metric, own)
    ]


def _rename(metric: EngineMetric, own: str) -> Iterable[str]:
    where = f'where name == "{own}"'
    yield f'set(unit, "{metric.unit}") {where}'
    yield f'set(description, "{metric.meaning}") {where}'
    yield f'set(name, "{metric.name}") {where}'


def build_targets(
    pool: InferencePool, models: Sequence[PooledModel], pods: Iterable[PodFact]
) -> str:
    """Return where the pool's engines answer, one entry for each pod and model."""
    engine = pool.spec.engine.name
    reachable = sorted((pod.name, pod.ip) for pod in pods if pod.ip and not pod.deleting)
    entries = [
        _target(pool, model, pod=pod, ip=ip, alone=len(models) == 1)
        for pod, ip in reachable
        for model in models
        if engine in SCRAPED_ENGINES
    ]
    return json.dumps(entries, indent=1)


def _target(
    pool: InferencePool, model: PooledModel, *, pod: str, ip: str, alone: bool
) -> dict[str, Json]:
    """Return one entry; llama.cpp's router is asked for each model, and is not to load it."""
    host = f"[{ip}]" if ":" in ip else ip
    asked: dict[str, Json] = {"__param_model": model.served_as, "__param_autoload": "false"}
    return {
        "targets": [f"{host}:{names.ENGINE_PORT}"],
        "labels": {
            "namespace": pool.metadata.namespace,
            "pool": pool.metadata.name,
            "model": model.served_as,
            "engine": pool.spec.engine.name.value,
            "pod": pod,
            **({} if alone else asked),
        },
    }
