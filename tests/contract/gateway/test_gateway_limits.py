"""A pool's limits at a real Envoy: what is more is refused, in the words that clients know."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import (
    EngineName,
    InferencePool,
    InferencePoolStatus,
    PoolEffective,
)
from paddock.callers import Callers
from paddock.cli.signing import new_private_key, new_record, public_key, token_of
from paddock.plan.gateway.key_ring import JWKS_FIELD, KEYS_FIELD, key_ring
from paddock.plan.gateway.limits import BODY_BYTES
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.gateway.xds import text
from paddock.wire import Json
from support.answering import Answering, answering
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.pools import DIGEST
from support.stores import pool_of, ready_model, renamed

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA, "beta": BETA, "gamma": ready_model("gamma", DIGEST)}
DEADLINE_SECONDS = 60.0
OPENAI, OLLAMA = "/v1/completions", "/api/generate"
PRIVATE = new_private_key()
RECORDS = [
    new_record(name, ["*"], timedelta(hours=1), datetime.now(UTC).replace(microsecond=0))
    for name in ("one", "two")
]
KEYS = {
    each.name: {"Authorization": f"Bearer {token_of(each, 'paddock/team', PRIVATE)}"}
    for each in RECORDS
}
ERRORS = {
    413: ("invalid_request_error", "request_too_large"),
    429: ("rate_limit_error", "rate_limit_exceeded"),
    503: ("server_error", "overloaded"),
    504: ("timeout_error", "timeout"),
}


def ring() -> Callers:
    jwks: Json = {"keys": [public_key(PRIVATE)]}
    return Callers(key_ring({"data": {JWKS_FIELD: text(jwks), KEYS_FIELD: "[]"}}))


def limited(name: str, *models: str, auth: Json = None, **limits: Json) -> InferencePool:
    guard: dict[str, Json] = {"limits": limits, **({"auth": auth} if auth else {})}
    return renamed(pool_of(EngineName.OLLAMA, *models, gateway=guard), name)


@contextmanager
def serving(folder: Path, backend: Answering, *pools: InferencePool) -> Iterator[Gateway]:
    place = free_place(folder)
    rendering = render("team", pools, MODELS, Surroundings(place=place), ring())
    backends = {f"{pool.metadata.name}.team": backend.address for pool in pools}
    with gateway(rendering, place, folder, backends) as running:
        yield running


@pytest.fixture
def backend() -> Iterator[Answering]:
    with answering("engine") as server:
        yield server
        server.open.set()


def ask(
    running: Gateway, model: str = "alpha", path: str = OPENAI, more: str = "", **options: object
) -> httpx.Response:
    body = {"model": model, "prompt": f"hi{more}"}
    return httpx.post(running.url + path, json=body, timeout=DEADLINE_SECONDS, **options)  # type: ignore[arg-type]  # httpx's own options


def assert_refused(answer: httpx.Response, status: int, path: str = OPENAI) -> None:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    if path == OLLAMA:
        assert error.endswith("."), error
    else:
        assert (error["type"], error["code"]) == ERRORS[status]
        assert error["message"].endswith(".")


@pytest.mark.parametrize("path", [OPENAI, OLLAMA])
def test_body_larger_than_the_pools_limit_is_a_413(
    tmp_path: Path, backend: Answering, path: str
) -> None:
    pools = (limited("small", "alpha", bodyBytes=4096), limited("large", "beta"))
    with serving(tmp_path, backend, *pools) as running:
        assert ask(running, "alpha", path).status_code == 200
        assert_refused(ask(running, "alpha", path, "x" * 4096), 413, path)
        assert ask(running, "beta", path, "x" * 4096).status_code == 200
        assert_refused(ask(running, "beta", path, "x" * BODY_BYTES), 413, path)
    assert backend.asked == 2


def test_body_without_a_length_is_measured_too(tmp_path: Path, backend: Answering) -> None:
    def chunks(size: int) -> Iterator[bytes]:
        yield b'{"model":"alpha","prompt":"'
        for _ in range(size):
            yield b"x" * 1024
        yield b'"}'

    with serving(tmp_path, backend, limited("small", "alpha", bodyBytes=4096)) as running:
        small, large = (
            httpx.post(running.url + OPENAI, content=chunks(size), timeout=DEADLINE_SECONDS)
            for size in (2, 8)
        )

    assert small.status_code == 200
    assert_refused(large, 413)


@pytest.mark.parametrize("path", [OPENAI, OLLAMA])
@pytest.mark.parametrize("limit", ["requestTime", "idleTime"])
def test_answer_that_does_not_come_in_time_is_a_504(
    tmp_path: Path, backend: Answering, limit: str, path: str
) -> None:
    backend.open.clear()
    pools = limited("slow", "alpha", **{limit: "1s"})
    with serving(tmp_path, backend, pools) as running:
        assert_refused(ask(running, path=path), 504, path)
        backend.open.set()
        assert ask(running, path=path).status_code == 200


@pytest.mark.parametrize("path", [OPENAI, OLLAMA])
@pytest.mark.parametrize("shared", [False, True], ids=["alone", "shared"])
def test_more_in_flight_than_the_pool_takes_is_a_503_that_says_when_to_come_again(
    tmp_path: Path, backend: Answering, path: str, *, shared: bool
) -> None:
    pools = [limited("busy", "alpha", inFlight=2)]
    if shared:
        other = pool_of(EngineName.OLLAMA, "alpha", gateway={"priority": 1})
        pools.append(renamed(other, "later"))
    with serving(tmp_path, backend, *pools) as running, ThreadPoolExecutor(2) as threads:
        backend.open.clear()
        held = [threads.submit(ask, running, path=path) for _ in range(2)]
        until_asked(backend, 2)
        refused = ask(running, path=path)
        backend.open.set()
        answers = [each.result().status_code for each in held]
        again = ask(running, path=path)

    assert_refused(refused, 503, path)
    assert refused.headers["retry-after"] == "2"
    assert answers == [200, 200]
    assert again.status_code == 200


def test_queue_is_what_may_wait_beside_what_the_wanted_replicas_serve(
    tmp_path: Path, backend: Answering
) -> None:
    pool = limited("busy", "alpha", queue=1)
    wider = pool.model_copy(update={"status": with_replicas(2)})
    with serving(tmp_path, backend, pool) as running, ThreadPoolExecutor(5) as threads:
        backend.open.clear()
        held = [threads.submit(ask, running) for _ in range(2)]
        until_asked(backend, 2)
        assert_refused(ask(running), 503)
        backend.open.set()
        assert [each.result().status_code for each in held] == [200, 200]

        running.take(render("team", [wider], MODELS, Surroundings(place=running.place), ring()))
        backend.open.clear()
        held = [threads.submit(ask, running) for _ in range(3)]
        until_asked(backend, 5)
        assert_refused(ask(running), 503)
        backend.open.set()
        assert [each.result().status_code for each in held] == [200, 200, 200]


def with_replicas(count: int) -> InferencePoolStatus:
    return InferencePoolStatus(effective=PoolEffective(image="engine", gpus=0, replicas=count))


def until_asked(backend: Answering, count: int) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while backend.asked < count:
        assert time.monotonic() < deadline, f"the engine was asked {backend.asked} times"
        time.sleep(0.01)


@pytest.mark.parametrize("path", [OPENAI, OLLAMA])
def test_each_key_has_its_own_requests_of_each_model(
    tmp_path: Path, backend: Answering, path: str
) -> None:
    keyed: Json = {"apiKeys": "Accepted"}
    pools = (
        limited("counted", "alpha", "beta", auth=keyed, requestsPerMinute=2),
        limited("free", "gamma", auth=keyed),
    )
    with serving(tmp_path, backend, *pools) as running:
        mine = [ask(running, path=path, headers=KEYS["one"]) for _ in range(3)]
        others = [
            ask(running, "alpha", path, headers=KEYS["two"]),
            ask(running, "beta", path, headers=KEYS["one"]),
            *(ask(running, "gamma", path, headers=KEYS["one"]) for _ in range(3)),
        ]
        unknown = [ask(running, path=path).status_code for _ in range(3)]

    assert [each.status_code for each in mine] == [200, 200, 429]
    assert_refused(mine[-1], 429, path)
    assert mine[-1].headers["retry-after"] == "30"
    assert {each.status_code for each in others} == {200}
    assert unknown == [401, 401, 401]


def test_where_no_key_is_needed_each_address_has_its_own_requests(
    tmp_path: Path, backend: Answering
) -> None:
    with serving(tmp_path, backend, limited("open", "alpha", requestsPerMinute=2)) as running:
        mine = [ask(running).status_code for _ in range(3)]
        with httpx.Client(transport=httpx.HTTPTransport(local_address="127.0.0.2")) as client:
            body = {"model": "alpha", "prompt": "hi"}
            forged = {"x-forwarded-for": "10.1.2.3"}
            other = [
                client.post(running.url + OPENAI, json=body, headers=forged).status_code
                for _ in range(3)
            ]

    assert mine == [200, 200, 429]
    assert other == [200, 200, 429]


@pytest.mark.parametrize("limit", ["requestsPerMinute", "tokensPerMinute"])
def test_new_limit_is_in_force_without_a_connection_that_ends(
    tmp_path: Path, backend: Answering, limit: str
) -> None:
    before, after = limited("open", "alpha"), limited("open", "alpha", **{limit: 1})
    with serving(tmp_path, backend, before) as running, httpx.Client() as client:
        body = {"model": "alpha", "prompt": "hi"}
        for _ in range(3):
            assert client.post(running.url + OPENAI, json=body).status_code == 200
        running.take(render("team", [after], MODELS, Surroundings(place=running.place), ring()))
        statuses = [client.post(running.url + OPENAI, json=body) for _ in range(2)]

    assert [each.status_code for each in statuses] == [200, 429]
    assert all("close" not in each.headers.get("connection", "") for each in statuses)
