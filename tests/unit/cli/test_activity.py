"""What `paddock top` says of replicas, from engines' own counters."""

import pytest

from paddock.api.inferencepool import EngineName
from paddock.cli.activity import (
    Activity,
    Counters,
    activity_table,
    cores_of,
    counters_of,
    rate_of,
    usage_of,
)
from paddock.cli.paint import text_of
from paddock.wire import Json

LLAMA_CPP = """# HELP llamacpp:tokens_predicted_total Number of generation tokens processed.
# TYPE llamacpp:tokens_predicted_total counter
llamacpp:tokens_predicted_total 128
llamacpp:predicted_tokens_seconds 41.2
llamacpp:requests_processing 2
llamacpp:requests_deferred 1
"""
VLLM = """vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_waiting{engine="0",model_name="m"} 0.0
vllm:generation_tokens_total{engine="0",model_name="m"} 1.5e+03
vllm:generation_tokens_total{engine="1",model_name="m"} 500.0
vllm:gpu_cache_usage_perc{engine="0"} NaN
"""


@pytest.mark.parametrize(
    ("text", "engine", "counters"),
    [
        (LLAMA_CPP, EngineName.LLAMA_CPP, Counters(2, 1, 128)),
        (VLLM, EngineName.VLLM, Counters(3, 0, 2000)),
        (VLLM, EngineName.LLAMA_CPP, None),
        ("", EngineName.VLLM, None),
        (LLAMA_CPP, EngineName.OLLAMA, None),
    ],
)
def test_counters_are_read_from_an_engine_s_own_text(
    text: str, engine: EngineName, counters: Counters | None
) -> None:
    assert counters_of(text, engine) == counters


def test_rate_needs_two_looks_at_the_same_run() -> None:
    before, after = Counters(0, 0, 100), Counters(0, 0, 150)
    assert rate_of(before, after, 2) == 25
    assert [rate_of(after, before, 2), rate_of(None, after, 2), rate_of(before, after, 0)] == (
        [None] * 3
    )


@pytest.mark.parametrize(
    ("value", "cores"),
    [("250m", 0.25), ("1500000000n", 1.5), ("20u", 2e-5), ("2", 2.0), (None, 0.0), ("odd", 0.0)],
)
def test_cores_are_read_in_every_unit(value: Json, cores: float) -> None:
    assert cores_of(value) == pytest.approx(cores)


def test_usage_of_a_pod_is_that_of_its_containers() -> None:
    containers: list[dict[str, Json]] = [
        {"name": "engine", "usage": {"cpu": "500m", "memory": "1Gi"}},
        {"name": "other", "usage": {"cpu": "100000000n", "memory": "1024Ki"}},
        {"name": "odd"},
    ]
    cores, memory = usage_of(containers)
    assert (round(cores, 6), memory) == (0.6, (1 << 30) + (1 << 20))


def test_table_shows_what_is_known() -> None:
    known = Activity("chat", "chat-1", "node-a", "8Gi", 1.25, 4_000_000_000, Counters(2, 1, 9), 41)
    assert text_of(activity_table([known, Activity("code", "code-1", None, None)])) == (
        "POOL   POD      NODE     CPU    MEMORY   LIMIT    RUNNING   WAITING   TOKENS/S\n"
        "chat   chat-1   node-a   1.25   4.0 GB   8.6 GB   2         1         41.0\n"
        "code   code-1   -        -      -        -        -         -         -"
    )
