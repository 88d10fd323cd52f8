"""The rendered gateway on a real Envoy before a real llama-server and a real Ollama."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import httpx
import ollama
import openai
import pytest

from paddock import names
from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.drainer import wait_until_left
from paddock.facts import EnvoyReport
from paddock.plan.engines.profile import EngineRun, Profile
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway.draining import DRAIN_PATH
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.replica import pooled_models
from paddock.wire import Json
from support.clients import check_clients
from support.engine_servers import Served, serving
from support.envoys import Gateway, free_place, gateway
from support.shown import check_shown
from support.stores import alpha_and_beta, pool_of, renamed

pytestmark = pytest.mark.contract
CPP = renamed(pool_of(EngineName.LLAMA_CPP, "alpha"), "cpp")
OLLAMA = renamed(pool_of(EngineName.OLLAMA, "beta"), "oll")
CHAT = "/v1/chat/completions"
RECORDING = b"RIFF" + bytes(70_000)


@dataclass(frozen=True, slots=True)
class Front:
    gateway: Gateway
    models: dict[str, LocalModel]
    engines: dict[str, Served]

    def post(self, path: str, body: Json, **headers: str) -> httpx.Response:
        return httpx.post(self.gateway.url + path, json=body, headers=headers, timeout=30)

    def post_form(self, path: str, model: str) -> httpx.Response:
        """Send a recording as clients do."""
        files = {"file": ("a.wav", RECORDING, "audio/wav")}
        return httpx.post(self.gateway.url + path, data={"model": model}, files=files, timeout=30)

    def get(self, path: str) -> httpx.Response:
        return httpx.get(self.gateway.url + path, timeout=30)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Run both engines and the gateway once for all tests here."""
    folder = tmp_path_factory.mktemp("front")
    for each in (folder, *folder.parents[:2]):
        each.chmod(0o755)
    models = alpha_and_beta(folder)
    place = free_place(folder)
    rendering = render("team", [CPP, OLLAMA], models, Surroundings(place=place))
    mounts = {names.STORE_PATH: folder / "store"}
    with (
        serving(*_run(CPP, models), folder / "cpp", mounts) as cpp,
        serving(*_run(OLLAMA, models), folder / "oll", mounts) as ollama,
    ):
        backends = {
            "cpp.team": cpp.url.removeprefix("http://"),
            "oll.team": ollama.url.removeprefix("http://"),
        }
        with gateway(rendering, place, folder, backends) as running:
            yield Front(running, models, {"pool/cpp": cpp, "pool/oll": ollama})


def _run(pool: InferencePool, models: dict[str, LocalModel]) -> tuple[Profile, EngineRun]:
    profile = PROFILES[pool.spec.engine.name]
    return profile, profile.run(pool, pooled_models(pool, models))


def chat(model: str) -> dict[str, Json]:
    return {"model": model, "max_tokens": 2, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize("model", ["alpha", "alpha:latest", "beta", "beta:latest", "BETA"])
def test_chat_reaches_the_engine_that_has_the_model(front: Front, model: str) -> None:
    answer = front.post(CHAT, chat(model))

    assert answer.status_code == 200, answer.text
    assert answer.json()["choices"][0]["message"]["role"] == "assistant"


def test_body_with_curls_own_content_type_is_read_all_the_same(front: Front) -> None:
    answer = front.post(
        CHAT, chat("alpha"), **{"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert answer.status_code == 200, answer.text


def test_answer_streams_as_it_is_made(front: Front) -> None:
    body = {**chat("alpha"), "stream": True, "max_tokens": 8}
    with httpx.stream("POST", front.gateway.url + CHAT, json=body, timeout=30) as answer:
        lines = [line for line in answer.iter_lines() if line]

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert lines[-1] == "data: [DONE]"


BODIES: dict[str, dict[str, Json]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1},
    "/v1/completions": {"prompt": "hi", "max_tokens": 1},
    "/v1/responses": {"input": "hi", "max_output_tokens": 1},
    "/v1/embeddings": {"input": "hi"},
    "/v1/rerank": {"query": "hi", "documents": ["a"]},
    "/api/generate": {"prompt": "hi", "stream": False, "options": {"num_predict": 1}},
    "/api/chat": {"messages": [{"role": "user", "content": "hi"}], "stream": False,
                  "options": {"num_predict": 1}},
    "/api/embed": {"input": "hi"},
    "/api/embeddings": {"prompt": "hi"},
}  # fmt: skip
AUDIO = "/v1/audio/transcriptions"
NOT_OF_THIS_MODEL = {("alpha", path) for path in ("/v1/embeddings", "/v1/rerank", AUDIO)}
"""llama-server has these routes, and answers 501 unless it was started for them, or can hear."""


@pytest.mark.parametrize(
    ("model", "path"),
    [("alpha", path) for path in sorted(PROFILES[EngineName.LLAMA_CPP].paths)]
    + [("beta", path) for path in sorted(PROFILES[EngineName.OLLAMA].paths)],
)
def test_every_route_that_a_profile_names_is_one_the_engine_has(
    front: Front, model: str, path: str
) -> None:
    answer = (
        front.post(path, {"model": model, **BODIES[path]})
        if path in BODIES
        else front.post_form(path, model)
    )

    expected = 501 if (model, path) in NOT_OF_THIS_MODEL else 200
    assert answer.status_code == expected, answer.text


def test_recording_goes_to_the_engine_of_its_model_and_nowhere_else(front: Front) -> None:
    client = openai.OpenAI(base_url=f"{front.gateway.url}/v1", api_key="none", max_retries=0)
    told = {}
    with client:
        for model in ("alpha", "beta", "gamma"):
            with pytest.raises(openai.APIStatusError) as refused:
                client.audio.transcriptions.create(model=model, file=("a.wav", RECORDING))
            told[model] = refused.value.status_code, refused.value.message
    json_body = front.post(AUDIO, {"model": "alpha"})

    assert told["alpha"][0] == 501
    assert "does not support audio input" in told["alpha"][1]
    assert told["beta"][0] == 404
    assert "oll (Ollama: " in told["beta"][1]
    assert told["gamma"][0] == 404
    assert (json_body.status_code, json_body.json()["error"]["message"]) == (
        400, "The body must be a form (multipart/form-data) that names its model once.",
    )  # fmt: skip


def test_route_that_the_models_engine_lacks_is_a_404_that_names_the_pool(front: Front) -> None:
    answer = front.post("/api/chat", chat("alpha"))

    assert answer.status_code == 404
    assert answer.json()["error"].startswith("The model alpha has no such route; it is served by")
    assert "cpp (LlamaCpp: " in answer.json()["error"]


def test_unknown_model_is_a_404_in_the_shape_of_openai(front: Front) -> None:
    answer = front.post(CHAT, chat("gamma"))

    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "error": {
            "message": "There is no such model here; GET /v1/models lists them.",
            "type": "invalid_request_error",
            "code": "model_not_found",
        }
    }


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"{", 400), (b"[]", 400), (b"", 400), (b'{"model": 3}', 400), (b'{"model": null}', 400),
     (b"{}", 400), (b"\xff\xfe", 400), (b"[" * 100_000, 400), (b'{"a":' * 100_000, 400)],
    ids=["cut", "list", "empty", "number", "null", "none", "binary", "deep", "deeper"],
)  # fmt: skip
def test_body_that_names_no_model_is_refused(front: Front, content: bytes, status: int) -> None:
    answer = httpx.post(front.gateway.url + CHAT, content=content, timeout=30)

    assert answer.status_code == status, answer.text
    assert answer.json()["error"]["message"].endswith(".")


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/api/pull"), ("POST", "/api/push"), ("POST", "/api/create"), ("POST", "/api/copy"),
     ("DELETE", "/api/delete"), ("HEAD", "/api/blobs/sha256:0"), ("GET", "/slots"),
     ("POST", "/slots/0"), ("POST", "/lora-adapters"), ("GET", "/metrics"), ("GET", "/props"),
     ("POST", "/v1/load_lora_adapter"), ("GET", CHAT), ("PUT", CHAT), ("POST", "/v1/models"),
     ("POST", "//api/pull"), ("POST", "/v1/../api/pull"), ("POST", "/v1/chat/completions/"),
     ("POST", "/models/load"), ("GET", "/state")],
)  # fmt: skip
def test_everything_else_is_forbidden(front: Front, method: str, path: str) -> None:
    answer = httpx.request(method, front.gateway.url + path, timeout=30)

    assert answer.status_code == 403


def test_models_are_listed_as_openai_does_with_what_is_known_of_them(front: Front) -> None:
    alpha = front.models["alpha"].status.artifact
    listed = front.get("/v1/models")

    assert listed.headers["content-type"] == "application/json"
    assert [each["id"] for each in listed.json()["data"]] == ["alpha", "beta"]
    assert alpha is not None
    assert listed.json()["data"][0] == {
        "id": "alpha", "object": "model", "created": 0, "owned_by": "paddock",
        "size": alpha.bytes, "quantization": alpha.quantization, "context_length": 2048,
    }  # fmt: skip
    assert front.get("/v1/models/beta").json() == listed.json()["data"][1]
    assert front.get("/v1/models/gamma").status_code == 404


def test_models_are_listed_as_ollama_does(front: Front) -> None:
    tags = front.get("/api/tags").json()["models"]

    assert [each["name"] for each in tags] == ["alpha:latest", "beta:latest"]
    assert set(tags[0]) == {"name", "model", "modified_at", "size", "digest", "details"}
    shown = front.post("/api/show", {"model": "beta"}).json()
    asked = httpx.post(f"{front.engines['pool/oll'].url}/api/show", json={"model": "beta"})
    check_shown(shown, asked.json())
    assert shown["model_info"]["llama.context_length"] == 2048
    with ollama.Client(front.gateway.url) as client:
        assert client.show("alpha").capabilities == ["completion"]
        assert client.ps().models == []
    assert front.post("/api/show", {"model": "gamma"}).status_code == 404
    assert front.get("/api/ps").json() == {"models": []}
    assert set(front.get("/api/version").json()) == {"version"}


def test_gateway_tells_the_version_that_it_runs_and_the_pools_that_it_reaches(front: Front) -> None:
    rendering = render("team", [CPP, OLLAMA], front.models, Surroundings(place=front.gateway.place))

    assert front.gateway.report() == EnvoyReport(
        frozenset({rendering.version}), frozenset({"pool/cpp", "pool/oll"})
    )


@pytest.mark.parametrize(("pool", "model"), [("pool/cpp", "alpha"), ("pool/oll", "beta")])
def test_engine_may_end_when_its_last_answer_is_given_and_not_before(
    front: Front, pool: str, model: str
) -> None:
    engine = front.engines[pool]
    with ThreadPoolExecutor(2) as threads:
        with stopped(engine.pid):
            asked = threads.submit(front.post, CHAT, {**chat(model), "stream": True})
            until_in_flight(front.gateway, pool)
            left = threads.submit(wait_until_left, int(engine.url.rpartition(":")[2]), 0, 60)
            with pytest.raises(TimeoutError):
                left.result(3)
        assert asked.result().text.rstrip().endswith("data: [DONE]")
        left.result(30)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Hold a process up, which keeps its connections meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def until_in_flight(running: Gateway, pool: str) -> None:
    deadline = time.monotonic() + 60
    name = f"cluster.{pool}.upstream_rq_active"
    while {"name": name, "value": 1} not in httpx.get(running.load_url).json()["stats"]:
        assert time.monotonic() < deadline, f"no request has reached {pool}"
        time.sleep(0.05)


def test_status_port_shows_nothing_that_changes_envoy(front: Front) -> None:
    for path in ("/quitquitquit", "/logging", "/config_dump", "/", DRAIN_PATH):
        for method in ("GET", "POST"):
            answer = httpx.request(method, front.gateway.status_url + path, timeout=5)
            assert answer.status_code == 404
    assert httpx.post(f"{front.gateway.status_url}/ready", timeout=5).status_code == 404


def test_clients_that_people_use_are_served_by_one_url(front: Front) -> None:
    check_clients(front.gateway.url, "alpha", "beta")
