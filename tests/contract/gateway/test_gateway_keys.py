"""API keys at a real Envoy: who is answered, who is not, and what the others learn."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.callers import Callers, KeyRing
from paddock.cli.signing import new_private_key, new_record, public_key, token_of
from paddock.plan.gateway.bootstrap import Place
from paddock.plan.gateway.key_ring import JWKS_FIELD, KEYS_FIELD, key_ring
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.wire import Json
from support.answering import Answering, answering
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.pools import DIGEST
from support.stores import pool_of, ready_model, renamed

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA, "beta": BETA, "gamma": ready_model("gamma", DIGEST)}
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
GUARD: Json = {"auth": {"apiKeys": "Accepted"}}
PRIVATE, OTHER_PRIVATE = new_private_key(), new_private_key()
ALL, ONE = new_record("all", ["*"], DAY, NOW), new_record("one", ["alpha"], DAY, NOW)
TWO = new_record("two", ["alpha", "gamma"], None, NOW)
ENDED = new_record("ended", ["*"], DAY, NOW - 2 * DAY)
LOST = new_record("lost", ["*"], DAY, NOW)
ISSUER = "paddock/team"


def ring(*revoked: str) -> KeyRing | None:
    listed: list[Json] = [
        {"id": each.id, "models": list(each.models), "revoked": each.id in revoked}
        for each in (ALL, ONE, TWO, ENDED, LOST)
    ]
    data = {
        JWKS_FIELD: json.dumps({"keys": [public_key(PRIVATE)]}), KEYS_FIELD: json.dumps(listed),
    }  # fmt: skip
    return key_ring({"data": data})


def guarded(name: str, *models: str) -> InferencePool:
    return renamed(pool_of(EngineName.LLAMA_CPP, *models, gateway=GUARD), name)


def opened(name: str, *models: str) -> InferencePool:
    return renamed(pool_of(EngineName.LLAMA_CPP, *models), name)


def rendered(place: Place, keys: KeyRing | None, *pools: InferencePool) -> Rendering:
    return render("team", pools, MODELS, Surroundings(place=place), Callers(keys))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


KEYS = {
    "all": bearer(token_of(ALL, ISSUER, PRIVATE)),
    "one": bearer(token_of(ONE, ISSUER, PRIVATE)),
    "two": bearer(token_of(TWO, ISSUER, PRIVATE)),
    "none": {},
    "ended": bearer(token_of(ENDED, ISSUER, PRIVATE)),
    "lost": bearer(token_of(LOST, ISSUER, PRIVATE)),
    "forged": bearer(token_of(ALL, ISSUER, OTHER_PRIVATE)),
    "elsewhere": bearer(token_of(ALL, "paddock/other", PRIVATE)),
    "nonsense": bearer("sk-something"),
}


@pytest.fixture(scope="module")
def backend() -> Iterator[Answering]:
    with answering("engine") as server:
        yield server


@pytest.fixture(scope="module")
def mixed(backend: Answering, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serve alpha and gamma with a key, beta to all."""
    folder = tmp_path_factory.mktemp("mixed")
    place = free_place(folder)
    pools = (guarded("a", "alpha", "gamma"), opened("b", "beta"))
    addresses = {"a.team": backend.address, "b.team": backend.address}
    with gateway(rendered(place, ring(LOST.id), *pools), place, folder, addresses) as running:
        yield running


@pytest.fixture(scope="module")
def strict(backend: Answering, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Serve everything with a key only."""
    folder = tmp_path_factory.mktemp("strict")
    place = free_place(folder)
    pool = guarded("a", "alpha", "gamma")
    rendering = rendered(place, ring(LOST.id), pool)
    with gateway(rendering, place, folder, {"a.team": backend.address}) as running:
        yield running


def ask(running: Gateway, model: str, key: str) -> httpx.Response:
    body = {"model": model, "prompt": "hi"}
    return httpx.post(f"{running.url}/v1/completions", json=body, headers=KEYS[key], timeout=10)


STATUSES = {
    "all": (200, 200, 200, 404),
    "one": (200, 403, 200, 403),
    "two": (200, 200, 200, 403),
    "none": (401, 401, 200, 401),
    "ended": (401, 401, 200, 401),
    "lost": (401, 401, 200, 401),
    "forged": (401, 401, 200, 401),
    "elsewhere": (401, 401, 200, 401),
    "nonsense": (401, 401, 200, 401),
}


@pytest.mark.parametrize("key", STATUSES)
def test_key_opens_its_models_and_tells_nothing_of_others(mixed: Gateway, key: str) -> None:
    answers = [ask(mixed, model, key) for model in ("alpha", "gamma", "beta", "absent")]

    assert tuple(answer.status_code for answer in answers) == STATUSES[key]
    refused = {answer.text for answer in answers if answer.status_code in (401, 403)}
    assert len(refused) <= 1


@pytest.mark.parametrize("key", STATUSES)
def test_where_all_is_guarded_nothing_is_answered_without_a_key(strict: Gateway, key: str) -> None:
    answers = [ask(strict, model, key) for model in ("alpha", "gamma", "absent")]
    known = [STATUSES[key][index] for index in (0, 1, 3)]

    assert [answer.status_code for answer in answers] == known
    assert httpx.get(f"{strict.url}/healthz").status_code == 200


def test_refusals_have_the_shape_of_openai(strict: Gateway) -> None:
    without, beyond = ask(strict, "alpha", "none"), ask(strict, "gamma", "one")

    assert without.json()["error"]["type"] == "authentication_error"
    assert beyond.json()["error"]["type"] == "permission_error"


@pytest.mark.parametrize(
    ("key", "listed"),
    [("all", ["alpha", "beta", "gamma"]), ("one", ["alpha", "beta"]),
     ("two", ["alpha", "beta", "gamma"]), ("none", ["beta"]), ("lost", ["beta"])],
)  # fmt: skip
def test_lists_hold_what_the_key_may_use(mixed: Gateway, key: str, listed: list[str]) -> None:
    found = httpx.get(f"{mixed.url}/v1/models", headers=KEYS[key]).json()["data"]
    tags = httpx.get(f"{mixed.url}/api/tags", headers=KEYS[key]).json()["models"]

    assert [each["id"] for each in found] == listed
    assert [each["name"].removesuffix(":latest") for each in tags] == listed
    for model in ("alpha", "beta", "gamma"):
        one = httpx.get(f"{mixed.url}/v1/models/{model}", headers=KEYS[key])
        assert (one.status_code == 200) == (model in listed)


@pytest.mark.parametrize("spelling", ["Model", "MODEL", "mOdel"])
def test_second_spelling_of_the_model_is_refused(strict: Gateway, spelling: str) -> None:
    body = {"model": "alpha", spelling: "gamma", "prompt": "hi"}
    answer = httpx.post(f"{strict.url}/v1/completions", json=body, headers=KEYS["one"])

    assert answer.status_code == 400


def test_name_that_comes_last_counts_as_it_does_to_engines(strict: Gateway) -> None:
    content = b'{"model": "alpha", "prompt": "hi", "model": "gamma"}'
    answer = httpx.post(f"{strict.url}/v1/completions", content=content, headers=KEYS["one"])

    assert answer.status_code == 403


def test_engines_never_see_a_key(mixed: Gateway, backend: Answering) -> None:
    for model in ("alpha", "beta"):
        assert ask(mixed, model, "all").status_code == 200
        assert "authorization" not in backend.headers[-1]


def test_key_in_the_address_counts_for_nothing(strict: Gateway) -> None:
    token = KEYS["all"]["Authorization"].removeprefix("Bearer ")
    address = f"{strict.url}/v1/completions?access_token={token}"
    answer = httpx.post(address, json={"model": "alpha"})

    assert answer.status_code == 401


def test_revoked_key_is_refused_with_the_next_files(backend: Answering, tmp_path: Path) -> None:
    place = free_place(tmp_path)
    pool = guarded("a", "alpha")
    rendering = rendered(place, ring(), pool)
    with gateway(rendering, place, tmp_path, {"a.team": backend.address}) as running:
        before = ask(running, "alpha", "lost").status_code
        running.take(rendered(place, ring(LOST.id), pool))
        after = ask(running, "alpha", "lost").status_code
        others = ask(running, "alpha", "all").status_code

    assert (before, after, others) == (200, 401, 200)


def test_guarded_pool_without_any_key_ring_answers_nobody(
    backend: Answering, tmp_path: Path
) -> None:
    place = free_place(tmp_path)
    rendering = rendered(place, None, guarded("a", "alpha"))
    with gateway(rendering, place, tmp_path, {"a.team": backend.address}) as running:
        assert ask(running, "alpha", "all").status_code == 401
        assert httpx.get(f"{running.url}/v1/models").status_code == 401


def test_files_hold_nothing_secret(tmp_path: Path) -> None:
    rendering = rendered(free_place(tmp_path), ring(), guarded("a", "alpha"))
    whole = rendering.whole + "".join(rendering.files.values())

    assert "PRIVATE" not in whole
    assert '"d"' not in whole
    shown = [headers["Authorization"].split()[1] for headers in KEYS.values() if headers]
    assert not [token for token in shown if token in whole]
