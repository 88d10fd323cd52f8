"""Tokens per minute at a real Envoy: a caller's next request pays for what answers used."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.callers import Callers
from paddock.cli.signing import new_private_key, new_record, public_key, token_of
from paddock.plan.gateway.key_ring import JWKS_FIELD, KEYS_FIELD, key_ring
from paddock.plan.gateway.rendering import Surroundings, render
from paddock.plan.gateway.xds import text
from paddock.wire import Json
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.metered import metered
from support.stores import pool_of, renamed

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA, "beta": BETA}
DEADLINE_SECONDS = 60.0
PRIVATE = new_private_key()
RECORDS = [new_record(name, ["*"], None, datetime.now(UTC)) for name in ("one", "two")]
KEYS = {
    each.name: {"Authorization": f"Bearer {token_of(each, 'paddock/team', PRIVATE)}"}
    for each in RECORDS
}
JWKS: Json = {"keys": [public_key(PRIVATE)]}
RING = Callers(key_ring({"data": {JWKS_FIELD: text(JWKS), KEYS_FIELD: "[]"}}))
KEYED: Json = {"apiKeys": "Accepted"}


def limited(most: int, *models: str, auth: Json = None) -> InferencePool:
    guard: dict[str, Json] = {
        "limits": {"tokensPerMinute": most},
        **({"auth": auth} if auth else {}),
    }
    return renamed(pool_of(EngineName.LLAMA_CPP, *models, gateway=guard), "limited")


@contextmanager
def serving(folder: Path, *pools: InferencePool, threads: int = 1) -> Iterator[Gateway]:
    place = free_place(folder)
    rendering = render("team", pools, MODELS, Surroundings(place=place), RING)
    with metered() as backend:
        backends = {f"{pool.metadata.name}.team": backend for pool in pools}
        with gateway(rendering, place, folder, backends, threads) as running:
            yield running


def ask(running: Gateway, model: str = "alpha", key: str = "", **more: Json) -> httpx.Response:
    body = {"model": model, "prompt": "a b c", "max_tokens": 5, **more}
    headers = KEYS.get(key, {})
    url = f"{running.url}/v1/completions"
    return httpx.post(url, json=body, headers=headers, timeout=DEADLINE_SECONDS)


WORDS: dict[str, Any] = {"prompt": "a " * 30, "max_tokens": 570}
STREAM: dict[str, Any] = {**WORDS, "stream": True}
UNTOLD: dict[str, Any] = {"prompt": "a " * 30, "max_tokens": 550, "stream": True, "untold": True}


@pytest.mark.parametrize("asked", [WORDS, STREAM, UNTOLD], ids=["whole", "stream", "untold"])
def test_each_key_has_its_own_tokens_of_each_model(tmp_path: Path, asked: dict[str, Any]) -> None:
    with serving(tmp_path, limited(600, "alpha", "beta", auth=KEYED)) as running:
        mine = [ask(running, key="one", **asked) for _ in range(3)]
        others = [ask(running, "beta", "one", **asked), ask(running, "alpha", "two", **asked)]

    assert [each.status_code for each in mine] == [200, 200, 429]
    error = mine[-1].json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "tokens" in error["message"]
    assert 1 < int(mine[-1].headers["retry-after"]) <= 60
    for each in (*mine, *others):
        assert not [name for name in each.headers if name.startswith(("x-paddock", "x-ratelimit"))]
    assert [each.status_code for each in others] == [200, 200]


def test_stream_that_its_caller_leaves_is_paid_as_far_as_it_came(tmp_path: Path) -> None:
    body = {"model": "alpha", "prompt": "a", "max_tokens": 1200, "stream": True, "endless": True}
    with serving(tmp_path, limited(600, "alpha")) as running:
        url = f"{running.url}/v1/completions"
        with httpx.stream("POST", url, json=body, timeout=DEADLINE_SECONDS) as begun:
            lines = begun.iter_lines()
            while next(lines) != "data: [DONE]":
                pass
        after = [ask(running).status_code for _ in range(2)]

    assert 429 in after


def test_threads_of_an_envoy_share_the_tokens_of_a_minute(tmp_path: Path) -> None:
    most, each, threads = 6000, 500, 2
    with serving(tmp_path, limited(most, "alpha"), threads=threads) as running:
        began = time.monotonic()
        answers = [ask(running, prompt="a", max_tokens=each - 1).status_code for _ in range(30)]
        refilled = (time.monotonic() - began) * most / 60

    assert set(answers) == {200, 429}
    used = answers.count(200) * each
    assert most - each <= used <= most + refilled + threads * each


def test_caller_is_told_when_it_can_pay(tmp_path: Path) -> None:
    with serving(tmp_path, limited(6000, "alpha")) as running:
        answers = [ask(running, prompt="a", max_tokens=3999) for _ in range(3)]

    assert [each.status_code for each in answers] == [200, 200, 429]
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 21
