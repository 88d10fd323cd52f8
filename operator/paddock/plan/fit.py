"""The arithmetic of memory: what one replica needs, and whether it is given that. Pure."""

from paddock.api.inferencepool import Fit
from paddock.plan.quantity import GIBI, MEBI, bytes_of

OVERHEAD_BYTES = 512 * MEBI
_SLACK_NUMERATOR, _SLACK_DENOMINATOR = 3, 2


def fit_of(weights_bytes: int, memory: str | int | None) -> Fit:
    """Return the arithmetic; the context's cache is not known before the engine says it."""
    needed = weights_bytes + OVERHEAD_BYTES
    limit = bytes_of(memory) if memory is not None else None
    given = f"{_gib(limit)} are given" if limit is not None else "no limit is declared"
    explanation = (
        f"{_gib(weights_bytes)} of weights and {_gib(OVERHEAD_BYTES)} for the engine make "
        f"{_gib(needed)} without the context's cache; {given}."
    )
    return Fit(
        weights_bytes=weights_bytes,
        overhead_bytes=OVERHEAD_BYTES,
        needed_bytes=needed,
        limit_bytes=limit,
        explanation=explanation,
    )


def default_memory(weights_bytes: int) -> str:
    """Return the memory a replica gets when none is declared: half as much again, and 1 GiB."""
    needed = weights_bytes * _SLACK_NUMERATOR // _SLACK_DENOMINATOR + GIBI
    return f"{-(-needed // MEBI)}Mi"


def _gib(count: int | None) -> str:
    return f"{(count or 0) / GIBI:.2f} GiB"
