"""The LlamaCpp profile against a real llama-server: every flag we write is one it takes."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.facts import EngineReport, LoadedModel
from paddock.observe.engines import ExpectedModel, probe_engine
from paddock.plan.engines.llama_cpp import PROFILE
from paddock.plan.engines.profile import PooledModel
from paddock.wire import Json
from support.engine_servers import Served, installed, serving
from support.stores import pool_of, two_models

pytestmark = pytest.mark.contract
VERSION = "b11669-Debian"
OTHER = f"sha256:{'0' * 64}"


@pytest.fixture
def models(tmp_path: Path) -> tuple[PooledModel, ...]:
    return two_models(tmp_path, "alpha", "beta")


@contextmanager
def started(
    pool: InferencePool, models: tuple[PooledModel, ...], tmp_path: Path
) -> Iterator[Served]:
    assert PROFILE.refuse(pool, models) == ()
    with serving(
        PROFILE, PROFILE.run(pool, models), tmp_path / "pod", {"/store": tmp_path / "store"}
    ) as served:
        yield served


def digest_of(model: PooledModel) -> str:
    artifact = model.model.status.artifact
    assert artifact is not None
    return artifact.digest


async def probed(served: Served, *expected: ExpectedModel) -> EngineReport:
    async with httpx.AsyncClient(timeout=30) as client:
        return await probe_engine(client, EngineName.LLAMA_CPP, served.url, "pod-a", expected)


async def asked(served: Served, method: str, path: str, body: Json = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.request(method, served.url + path, json=body)


async def test_one_model_is_served_from_its_blob_and_generates(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    (alpha, _) = models
    with started(pool_of(EngineName.LLAMA_CPP, "alpha"), (alpha,), tmp_path) as served:
        report = await probed(served, ExpectedModel("alpha", digest_of(alpha), generate=True))

    proven = LoadedModel("alpha", digest_of(alpha), loaded=True, generated=True)
    assert report == EngineReport(pod="pod-a", answering=True, version=VERSION, models=(proven,))


async def test_router_serves_several_and_loads_late_what_is_not_preloaded(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    alpha, beta = models[0], replace(models[1], preload=False, served_as="small")
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", "beta")
    with started(pool, (alpha, beta), tmp_path) as served:
        first = await probed(
            served,
            ExpectedModel("alpha", digest_of(alpha), generate=True),
            ExpectedModel("small", digest_of(beta), generate=False),
        )
        later = await probed(served, ExpectedModel("small", digest_of(beta), generate=True))

    assert first.models == (
        LoadedModel("alpha", digest_of(alpha), loaded=True, generated=True),
        LoadedModel("small", digest_of(beta), loaded=False, generated=False),
    )
    assert later.models == (LoadedModel("small", digest_of(beta), loaded=True, generated=True),)
    assert (later.models[0].load_seconds or 0) > 0


def test_server_says_that_it_closes_a_streams_connection_only_where_it_is_asked_to(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    body = {"model": "alpha", "prompt": "a", "max_tokens": 2}
    with started(pool_of(EngineName.LLAMA_CPP, "alpha"), models[:1], tmp_path) as served:
        said = {
            (stream, asked): httpx.post(
                f"{served.url}/v1/completions",
                json={**body, "stream": stream},
                headers={"connection": asked},
                timeout=30,
            ).headers.get("connection", "keep-alive")
            for stream in (False, True)
            for asked in ("keep-alive", "close")
        }

    assert said == {(stream, asked): asked for stream, asked in said}


async def test_other_bytes_under_the_name_are_told_by_their_digest(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    (alpha, _) = models
    with started(pool_of(EngineName.LLAMA_CPP, "alpha"), (alpha,), tmp_path) as served:
        report = await probed(served, ExpectedModel("alpha", OTHER, generate=True))

    (model,) = report.models
    assert (model.digest, model.generated) == (digest_of(alpha), None)
    assert model.error == f"alpha is served from {digest_of(alpha)}, not {OTHER}."


async def test_model_that_cannot_load_is_told_though_the_router_is_healthy(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    (_, beta) = models
    blob = tmp_path / "store" / "blobs" / digest_of(beta).replace(":", "-")
    blob.chmod(0o644)
    blob.write_bytes(b"GGUF but no model")
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", "beta")
    with started(pool, models, tmp_path) as served:
        report = await probed(served, ExpectedModel("beta", digest_of(beta), generate=True))

    (model,) = report.models
    assert model.generated is None
    assert model.error is not None
    assert model.error.startswith("beta did not generate a token: ")


async def test_embedding_model_proves_itself_with_an_embedding(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    (alpha, _) = models
    pool = pool_of(EngineName.LLAMA_CPP, "alpha")
    run = PROFILE.run(pool, (alpha,))
    run = replace(run, args=(*run.args, "--embeddings", "--pooling", "mean"))
    with serving(PROFILE, run, tmp_path / "pod", {"/store": tmp_path / "store"}) as served:
        report = await probed(served, ExpectedModel("alpha", digest_of(alpha), generate=True))

    assert report.models == (LoadedModel("alpha", digest_of(alpha), loaded=True, generated=True),)


EVERY_KNOB: dict[str, Json] = {
    "contextLength": 256, "parallel": 2, "batchSize": 64, "threads": 1, "gpuLayers": 0,
    "flashAttention": True, "kvCacheType": "q8_0", "mmap": True, "mlock": False,
}  # fmt: skip


@pytest.mark.parametrize("count", [1, 2])
async def test_server_takes_every_knob_at_once_and_gives_each_slot_its_context(
    models: tuple[PooledModel, ...], tmp_path: Path, count: int
) -> None:
    chosen = models[:count]
    pool = pool_of(EngineName.LLAMA_CPP, *(model.served_as for model in chosen), serving=EVERY_KNOB)
    with started(pool, chosen, tmp_path) as served:
        report = await probed(served, ExpectedModel("alpha", digest_of(models[0]), generate=True))
        props = (await asked(served, "GET", "/props?model=alpha")).json()

    assert report.models[0].generated
    assert props["total_slots"] == 2
    assert props["default_generation_settings"]["n_ctx"] == 256


async def test_each_request_may_use_the_whole_default_context(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    (alpha, _) = models
    with started(pool_of(EngineName.LLAMA_CPP, "alpha"), (alpha,), tmp_path) as served:
        props = (await asked(served, "GET", "/props")).json()

    assert alpha.trained_context == 2048
    assert props["default_generation_settings"]["n_ctx"] == 2048


async def test_modelfile_parameters_become_the_servers_defaults(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    (alpha, _) = models
    parameters = {"temperature": 0.25, "topK": 7, "topP": 0.5, "minP": 0.125, "seed": 11,
                  "repeatPenalty": 1.5, "numPredict": 9, "numCtx": 512}  # fmt: skip
    spec = {**alpha.model.spec.model_dump(by_alias=True), "modelfile": {"parameters": parameters}}
    whole = {**alpha.model.model_dump(by_alias=True), "spec": spec}
    model = replace(alpha, model=type(alpha.model).model_validate(whole))
    with started(pool_of(EngineName.LLAMA_CPP, "alpha"), (model,), tmp_path) as served:
        settings = (await asked(served, "GET", "/props")).json()["default_generation_settings"]
        body: Json = {"model": "alpha", "prompt": "hello"}
        usage = (await asked(served, "POST", "/v1/completions", body)).json()["usage"]

    told = settings["params"]
    assert settings["n_ctx"] == 512
    assert {name: told[name] for name in ("temperature", "top_k", "top_p", "min_p", "seed")} == {
        "temperature": 0.25, "top_k": 7, "top_p": 0.5, "min_p": 0.125, "seed": 11,
    }  # fmt: skip
    assert (told["repeat_penalty"], usage["completion_tokens"]) == (1.5, 9)


async def test_prompts_of_others_are_not_shown_and_properties_cannot_be_changed(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    (alpha, _) = models
    with started(pool_of(EngineName.LLAMA_CPP, "alpha"), (alpha,), tmp_path) as served:
        slots = await asked(served, "GET", "/slots")
        change = await asked(served, "POST", "/props", {})
        page = await asked(served, "GET", "/")

    assert (slots.status_code, change.status_code, page.status_code) == (501, 501, 404)


def test_every_flag_that_users_may_set_is_one_the_server_knows() -> None:
    system = installed(EngineName.LLAMA_CPP).system
    done = subprocess.run(
        ["chroot", str(system), "/usr/bin/llama-server", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    known = {word.rstrip(",") for word in done.stdout.split() if word.startswith("--")}

    assert PROFILE.flags - known == set()


async def test_draft_model_guesses_tokens_that_the_model_takes(
    models: tuple[PooledModel, ...], tmp_path: Path
) -> None:
    alpha, beta = models
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", serving={"draftModel": "beta"})
    with started(pool, (replace(alpha, draft=beta),), tmp_path) as served:
        report = await probed(served, ExpectedModel("alpha", digest_of(alpha), generate=True))
        body: Json = {"model": "alpha", "prompt": "1", "max_tokens": 32}
        answer = await asked(served, "POST", "/v1/completions", body)

    assert report.models == (LoadedModel("alpha", digest_of(alpha), loaded=True, generated=True),)
    assert answer.json()["timings"]["draft_n"] > 0
