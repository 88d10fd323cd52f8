"""The VLLM profile, and the readers of its answers, held to what a real vLLM 0.11 answered."""

import re

import httpx
import pytest

from paddock.api.inferencepool import EngineName
from paddock.api.localmodel import LocalModel
from paddock.cli.activity import Counters, counters_of
from paddock.facts import PodDemand
from paddock.observe.demand import ask_engine
from paddock.observe.loaded import Loaded, observe_loaded
from paddock.plan.engines.vllm import PROFILE
from paddock.plan.replica import pooled_models
from paddock.plan.telemetry.engine_metrics import SCRAPED
from paddock.status.vllm_log import start_error
from paddock.wire import Json
from support.pools import DIGEST
from support.recorded_vllm import FLAGS, PAGE, ROUTES, answer, last_words
from support.signals import measured
from support.stores import pool_of, ready_model
from support.told_engine import engine

EVERY_KNOB: Json = {
    "contextLength": 512, "parallel": 3, "batchSize": 128, "kvCacheType": "fp8",
    "tensorParallel": 2, "gpuMemoryUtilization": 0.5,
}  # fmt: skip


def with_defaults() -> LocalModel:
    whole = ready_model("alpha", DIGEST).model_dump(by_alias=True, exclude_none=True)
    whole["spec"]["modelfile"] = {"parameters": {"temperature": 0.5}}
    return LocalModel.model_validate(whole)


def test_every_flag_that_we_write_or_allow_is_one_it_takes() -> None:
    pool = measured(
        pool_of(EngineName.VLLM, "alpha", serving=EVERY_KNOB, hardware={"gpus": 2}), spans=True
    )
    models = pooled_models(pool, {"alpha": with_defaults()})
    written = {each for each in PROFILE.run(pool, models).args if each.startswith("--")}

    assert PROFILE.refuse(pool, models) == ()
    assert len(written) == 11
    assert written | PROFILE.flags <= FLAGS


def test_every_route_that_callers_may_take_is_one_it_has() -> None:
    ours = {"GET /health", "GET /version", "GET /v1/models", "GET /metrics"}
    assert {f"POST {path}" for path in PROFILE.paths} | ours <= ROUTES


def test_every_number_that_we_take_has_its_name_and_kind() -> None:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", PAGE, re.MULTILINE))
    wanted = {
        metric.sources[EngineName.VLLM]: metric.kind
        for metric in SCRAPED
        if EngineName.VLLM in metric.sources
    }
    assert {name: kinds.get(name) for name in wanted} == wanted


async def test_what_it_has_to_do_is_read_off_its_page() -> None:
    with engine({"/metrics": (200, PAGE.encode())}) as url:
        async with httpx.AsyncClient(timeout=5) as client:
            demand = await ask_engine(client, EngineName.VLLM, url)

    assert demand == PodDemand(3, "33 310")
    assert counters_of(PAGE, EngineName.VLLM) == Counters(2, 1, 33)


async def test_what_it_lists_is_loaded() -> None:
    with engine({"/v1/models": answer("models")}) as url:
        async with httpx.AsyncClient(timeout=5) as client:
            loaded = await observe_loaded(client, EngineName.VLLM, url)

    assert loaded == {"alpha": Loaded()}


def test_answers_tell_their_tokens_and_streams_only_where_asked() -> None:
    used = {"prompt_tokens": 4, "completion_tokens": 3, "total_tokens": 7}
    assert answer("chat")[1]["usage"].items() >= used.items()
    assert (
        '"usage":{"prompt_tokens":4,"total_tokens":7,"completion_tokens":3}'
        in (answer("stream with usage")[1])
    )
    assert "usage" not in answer("stream")[1]


def test_refused_start_is_said_in_its_own_words() -> None:
    assert start_error(last_words("context")) == (
        "User-specified max_model_len (100000) is greater than the derived max_model_len "
        "(max_position_embeddings=2048 or model_max_length=None in model's config.json)"
    )


def test_weights_that_another_process_could_not_load_are_said_in_its_own_words() -> None:
    assert start_error(last_words("weights")) == (
        "SafetensorError: Error while deserializing header: incomplete metadata, file not fully "
        "covered"
    )


SERVED = '(APIServer pid=1) INFO:     10.0.0.1:1 - "GET /health HTTP/1.1" 200 OK\n'
ELSEWHERE = "Engine core initialization failed. See root cause above."
RAISED = "(APIServer pid=1)   File 'a.py', line 1, in run_server\n(APIServer pid=1) ValueError: "


@pytest.mark.parametrize(
    ("log", "told"),
    [
        (RAISED.replace("ValueError", "RuntimeError") + ELSEWHERE, None),
        (SERVED + RAISED + "canary", None),
        ("(APIServer pid=1) ValueError: canary", None),
        ("", None),
        (RAISED + "No such thing.\n", "ValueError: No such thing"),
    ],
)
def test_nothing_is_said_of_another_process_or_of_one_that_served(
    log: str, told: str | None
) -> None:
    assert start_error(log) == told
