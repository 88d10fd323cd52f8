"""The arithmetic of memory: what one replica needs, and whether it is given that. Pure.

Weights are what the files weigh. The cache is layers x heads x head size for keys and values, from
the model's header, times the context, times the requests at once; it is the most that an ordinary
transformer keeps (a sliding window keeps less). The rest is an allowance.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from paddock.api.inferencepool import Fit
from paddock.plan.quantity import GIBI, MEBI, bytes_of

OVERHEAD_BYTES = 512 * MEBI
"""Program, buffers of one batch, HTTP: llama-server and Ollama stay under it on small models."""
_SLACK_NUMERATOR, _SLACK_DENOMINATOR = 5, 4
_UNKNOWN_CACHE_DIVISOR = 2
"""Where the cache is not known, half the weights are allowed for it."""
_BITS = {"f16": 16, "bf16": 16, "fp8": 8, "q8_0": 9, "q4_0": 5}
"""Per value: q8_0 is 34 bytes for 32 values, q4_0 is 18 bytes for 32, both rounded up."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one model puts into memory when it is loaded."""

    weights_bytes: int
    cache_values_per_token: int | None
    tokens: int | None
    """Context of all requests at once; None where the engine chooses it by the memory it finds."""

    def cache_bytes(self, kind: str | None) -> int | None:
        """Return what the context's cache takes, if it is known."""
        if self.cache_values_per_token is None or self.tokens is None:
            return None
        return self.cache_values_per_token * self.tokens * _BITS[kind or "f16"] // 8


@dataclass(frozen=True, slots=True)
class Need:
    """What one replica needs at most, as far as it is known."""

    weights_bytes: int
    cache_bytes: int | None

    @property
    def total(self) -> int:
        """Return all of it; a cache that is not known counts as nothing."""
        return self.weights_bytes + (self.cache_bytes or 0) + OVERHEAD_BYTES


def need_of(loads: Sequence[Load], *, at_once: int, cache_type: str | None) -> Need:
    """Return what the largest models that may be loaded at once need together."""
    sized = sorted(
        ((load.weights_bytes, load.cache_bytes(cache_type)) for load in loads),
        key=lambda pair: -(pair[0] + (pair[1] or 0)),
    )[:at_once]
    caches = [cache for _, cache in sized if cache is not None]
    return Need(
        weights_bytes=sum(weights for weights, _ in sized),
        cache_bytes=sum(caches) if len(caches) == len(sized) else None,
    )


def fit_of(need: Need, memory: str | int | None) -> Fit:
    """Return the arithmetic; a memory of None means that it is on GPUs whose size is not known."""
    limit = bytes_of(memory) if memory is not None else None
    given = f"each replica has {size_text(limit)}" if limit is not None else _ON_GPU
    cache = (
        f"{size_text(need.cache_bytes)} of context cache"
        if need.cache_bytes is not None
        else "a context cache of unknown size"
    )
    weights, overhead = size_text(need.weights_bytes), size_text(OVERHEAD_BYTES)
    explanation = (
        f"{weights} of weights, {cache} and {overhead} for the engine make "
        f"{size_text(need.total)}; {given}."
    )
    return Fit(
        weights_bytes=need.weights_bytes,
        kv_cache_bytes=need.cache_bytes,
        overhead_bytes=OVERHEAD_BYTES,
        needed_bytes=need.total,
        limit_bytes=limit,
        explanation=explanation,
    )


_ON_GPU = "the memory of the GPUs is not known"


def default_memory(need: Need) -> str:
    """Return the memory a replica gets when none is declared: its need and a quarter more."""
    guess = need.weights_bytes // _UNKNOWN_CACHE_DIVISOR if need.cache_bytes is None else 0
    needed = (need.total + guess) * _SLACK_NUMERATOR // _SLACK_DENOMINATOR
    return f"{-(-needed // MEBI)}Mi"


def size_text(count: int | None) -> str:
    """Return bytes in the unit that keeps two digits of meaning."""
    number = count or 0
    return f"{number / GIBI:.2f} GiB" if number >= GIBI // 10 else f"{number / MEBI:.2f} MiB"
