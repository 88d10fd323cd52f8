"""The arithmetic of memory, held to numbers worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paddock.api.inferencepool import EngineName
from paddock.plan.fit import OVERHEAD_BYTES, Load, default_memory, fit_of, need_of
from paddock.plan.pool import plan_pool
from paddock.plan.quantity import GIBI, MEBI, bytes_of
from paddock.wire import Json
from support.pools import DIGEST, OTHER_DIGEST, SETTINGS, fresh
from support.stores import ready_model

LLAMA_8B = 32 * 8 * (128 + 128)
"""Llama 3.1 8B: 32 layers, 8 key-value heads of 128."""


@pytest.mark.parametrize(
    ("kind", "gibi"), [(None, 1.0), ("f16", 1.0), ("bf16", 1.0), ("fp8", 0.5), ("q8_0", 0.5625)]
)
def test_cache_of_a_known_model_is_what_its_card_says(kind: str | None, gibi: float) -> None:
    assert Load(0, LLAMA_8B, 8192).cache_bytes(kind) == gibi * GIBI


def test_only_the_largest_models_that_are_loaded_at_once_count() -> None:
    loads = [Load(size * GIBI, 1, 8) for size in (1, 4, 2, 3)]
    need = need_of(loads, at_once=3, cache_type=None)

    assert (need.weights_bytes, need.cache_bytes) == (9 * GIBI, 3 * 16)


def test_one_unknown_cache_makes_the_sum_unknown() -> None:
    need = need_of([Load(GIBI, None, 8), Load(GIBI, 1, 8)], at_once=2, cache_type=None)

    assert need.cache_bytes is None
    assert "a context cache of unknown size" in fit_of(need, "8Gi").explanation


def test_explanation_holds_the_whole_sum() -> None:
    fit = fit_of(need_of([Load(4 * GIBI, LLAMA_8B, 8192)], at_once=1, cache_type=None), "4Gi")

    assert fit.needed_bytes == 5 * GIBI + OVERHEAD_BYTES
    assert fit.explanation == (
        "4.00 GiB of weights, 1.00 GiB of context cache and 0.50 GiB for the engine make 5.50 GiB; "
        "each replica has 4.00 GiB."
    )


@given(
    weights=st.integers(0, 1 << 42),
    cache=st.one_of(st.none(), st.integers(0, 1 << 24)),
    tokens=st.one_of(st.none(), st.integers(1, 1 << 20)),
)
def test_default_memory_always_fits_the_need(
    weights: int, cache: int | None, tokens: int | None
) -> None:
    need = need_of([Load(weights, cache, tokens)], at_once=1, cache_type=None)
    fit = fit_of(need, default_memory(need))

    assert fit.limit_bytes is not None
    assert fit.needed_bytes <= fit.limit_bytes <= 2 * fit.needed_bytes


def effective_memory(engine: EngineName, **spec: Json) -> int:
    model = ready_model("alpha", DIGEST, contextLength=131_072, cacheValuesPerToken=LLAMA_8B)
    effective = plan_pool(fresh(engine, known=(model,), **spec), SETTINGS).effective
    assert effective is not None
    return bytes_of(effective.memory or "0")


def test_default_limit_grows_with_the_context_that_is_asked_for() -> None:
    small = effective_memory(EngineName.LLAMA_CPP, serving={"contextLength": 4096})
    large = effective_memory(EngineName.LLAMA_CPP, serving={"contextLength": 65_536})

    assert large - small == pytest.approx(7.5 * GIBI * 1.25, abs=2 * MEBI)


def test_declared_memory_is_taken_as_it_is() -> None:
    assert effective_memory(EngineName.OLLAMA, hardware={"memory": "3Gi"}) == 3 * GIBI


def test_memory_of_gpus_is_not_known_and_said_to_be() -> None:
    facts = fresh(EngineName.LLAMA_CPP, hardware={"gpus": 1, "memory": "1Gi"})
    fit = plan_pool(facts, SETTINGS).fit
    assert fit is not None

    assert fit.limit_bytes is None
    assert fit.explanation.endswith("; the memory of the GPUs is not known.")


def test_router_counts_each_model_it_holds() -> None:
    known = tuple(ready_model(name, digest, size=GIBI)
                  for name, digest in (("alpha", DIGEST), ("beta", OTHER_DIGEST)))  # fmt: skip
    fit = plan_pool(fresh(EngineName.LLAMA_CPP, known=known), SETTINGS).fit
    assert fit is not None

    assert fit.weights_bytes == 2 * GIBI
