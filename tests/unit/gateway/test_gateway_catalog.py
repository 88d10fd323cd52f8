"""What a namespace is said to serve: names, the pools behind them, what engines know of both."""

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.plan.gateway.catalog import served_by
from support.gateways import ALPHA, BETA, CPP, OLLAMA
from support.stores import pool_of, ready_model, renamed

MODELS = {"alpha": ALPHA, "beta": BETA}


def names_of(*pools: InferencePool) -> dict[str, tuple[str, ...]]:
    return {each.name: each.names for each in served_by(pools, MODELS)}


def test_names_are_those_that_the_engines_understand() -> None:
    router = pool_of(EngineName.LLAMA_CPP, "alpha", "beta")
    vllm = pool_of(EngineName.VLLM, models=[{"name": "alpha", "as": "other"}])

    assert names_of(CPP, OLLAMA) == {
        "alpha": ("alpha", "alpha:latest"), "beta": ("beta", "beta:latest"),
    }  # fmt: skip
    assert names_of(router) == {"alpha": ("alpha",), "beta": ("beta",)}
    assert names_of(vllm) == {"other": ("other",)}


def test_one_name_in_two_pools_is_one_model_with_two_offers() -> None:
    second = renamed(
        pool_of(EngineName.OLLAMA, models=[{"name": "alpha", "as": "alpha:latest"}]), "b"
    )
    (served,) = served_by([second, CPP], MODELS)

    assert [offer.pool.metadata.name for offer in served.offers] == ["b", "cpp"]
    assert [offer.pool.metadata.name for offer in served.paths["/api/chat"]] == ["b"]
    assert len(served.paths["/v1/chat/completions"]) == 2
    assert not served.any_case


def test_model_without_weights_is_not_served_yet() -> None:
    waiting = ALPHA.model_copy(
        update={"status": ALPHA.status.model_copy(update={"artifact": None})}
    )

    assert served_by([CPP], {"alpha": waiting}) == ()


def test_refused_pool_keeps_the_names_that_it_served() -> None:
    refused = pool_of(EngineName.LLAMA_CPP, "alpha", serving={"maxQueue": 3})
    before = refused.model_validate(
        {**refused.model_dump(by_alias=True),
         "status": {"models": [{"name": "alpha", "servedAs": "alpha", "state": "Loaded"}]}}
    )  # fmt: skip

    assert served_by([refused], MODELS) == ()
    assert [each.name for each in served_by([before], MODELS)] == ["alpha"]


def test_context_is_what_one_request_may_use() -> None:
    long = ready_model("alpha", "sha256:" + "a" * 64, contextLength=131072)
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", serving={"parallel": 4})
    own = pool_of(EngineName.OLLAMA, "alpha", serving={"parallel": 4, "contextLength": 2000})

    assert served_by([pool], {"alpha": long})[0].offers[0].context == 8192
    assert served_by([own], {"alpha": long})[0].offers[0].context == 2000
