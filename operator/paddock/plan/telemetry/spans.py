"""Spans that engines make themselves: of which pool they are, and what is kept of them. Pure.

An engine says both in its resource, as its spans know nothing of pools.
"""

from collections.abc import Iterator, Sequence

POOL, ENGINE = "paddock.pool", "paddock.engine"
KEPT = (
    "gen_ai.request.id", "gen_ai.response.model", "gen_ai.usage.prompt_tokens",
    "gen_ai.usage.completion_tokens", "gen_ai.latency.time_in_queue",
    "gen_ai.latency.time_to_first_token", "gen_ai.latency.time_in_model_prefill",
    "gen_ai.latency.time_in_model_decode", "gen_ai.latency.e2e",
)  # fmt: skip
"""Attributes of vLLM's spans, as of 0.11's source; none of them holds a caller's words."""
_OWN = f'resource.attributes["{POOL}"]'
FROM_ENGINE = f"{_OWN} != nil"


def spans_of_others(pools: Sequence[str]) -> str:
    """Return the condition of an engine's span that is of none of these pools."""
    return f"{FROM_ENGINE} and {none_of(_OWN, pools)}"


def none_of(value: str, pools: Sequence[str]) -> str:
    """Return the condition that a value names none of these pools."""
    return " and ".join(f'{value} != "{name}"' for name in pools)


def named_by_their_resource() -> Iterator[str]:
    """Yield how an engine's spans say themselves what its resource says."""
    for key in (POOL, ENGINE):
        yield f'set(attributes["{key}"], resource.attributes["{key}"]) where {FROM_ENGINE}'
