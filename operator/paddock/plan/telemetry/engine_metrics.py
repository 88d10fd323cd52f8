"""One set of metrics for all engines: our name and unit, and what each engine calls it. Pure.

An engine that has no such number has no series: nothing is made up. Names are those of llama-server
build 11669 and vLLM 0.11.0, both tried.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from paddock.api.inferencepool import EngineName

LABELS = ("namespace", "pool", "model", "engine", "pod")
_LLAMA, _VLLM = EngineName.LLAMA_CPP, EngineName.VLLM


@dataclass(frozen=True, slots=True)
class EngineMetric:
    """One number of an engine; `sources` are the engines' own Prometheus names."""

    name: str
    kind: str
    unit: str
    meaning: str
    sources: Mapping[EngineName, str]


SCRAPED = (
    EngineMetric(
        "paddock.engine.requests.running",
        "gauge",
        "{request}",
        "Requests being answered now.",
        {_LLAMA: "llamacpp:requests_processing", _VLLM: "vllm:num_requests_running"},
    ),
    EngineMetric(
        "paddock.engine.requests.waiting",
        "gauge",
        "{request}",
        "Requests waiting for a place.",
        {_LLAMA: "llamacpp:requests_deferred", _VLLM: "vllm:num_requests_waiting"},
    ),
    EngineMetric(
        "paddock.engine.slots.busy",
        "gauge",
        "{slot}",
        "Slots busy in a decode, on average since the start.",
        {_LLAMA: "llamacpp:n_busy_slots_per_decode"},
    ),
    EngineMetric(
        "paddock.engine.kv_cache.usage",
        "gauge",
        "1",
        "Part of the KV cache in use; 1 is full.",
        {_VLLM: "vllm:kv_cache_usage_perc"},
    ),
    EngineMetric(
        "paddock.engine.tokens.prompt",
        "counter",
        "{token}",
        "Prompt tokens processed; llama.cpp leaves out those it had cached.",
        {_LLAMA: "llamacpp:prompt_tokens_total", _VLLM: "vllm:prompt_tokens_total"},
    ),
    EngineMetric(
        "paddock.engine.tokens.cached",
        "counter",
        "{token}",
        "Prompt tokens taken from the cache.",
        {_LLAMA: "llamacpp:prompt_tokens_cached_total", _VLLM: "vllm:prefix_cache_hits_total"},
    ),
    EngineMetric(
        "paddock.engine.tokens.generated",
        "counter",
        "{token}",
        "Tokens generated.",
        {_LLAMA: "llamacpp:tokens_predicted_total", _VLLM: "vllm:generation_tokens_total"},
    ),
    EngineMetric(
        "paddock.engine.prompt.time",
        "counter",
        "s",
        "Time spent on prompts.",
        {_LLAMA: "llamacpp:prompt_seconds_total"},
    ),
    EngineMetric(
        "paddock.engine.generation.time",
        "counter",
        "s",
        "Time spent generating.",
        {_LLAMA: "llamacpp:tokens_predicted_seconds_total"},
    ),
    EngineMetric(
        "paddock.engine.preemptions",
        "counter",
        "{preemption}",
        "Requests put back because the KV cache was full.",
        {_VLLM: "vllm:num_preemptions_total"},
    ),
    EngineMetric(
        "paddock.engine.first_token.duration",
        "histogram",
        "s",
        "Time from a request's arrival to its first token.",
        {_VLLM: "vllm:time_to_first_token_seconds"},
    ),
    EngineMetric(
        "paddock.engine.request.duration",
        "histogram",
        "s",
        "Time from a request's arrival to its last token.",
        {_VLLM: "vllm:e2e_request_latency_seconds"},
    ),
)
UP = EngineMetric(
    "paddock.engine.up",
    "gauge",
    "{answer}",
    "1 where the engine answered its last scrape, else 0.",
    {_LLAMA: "up", _VLLM: "up"},
)
"""Made by whoever scrapes."""
