"""Tokens of an OIDC issuer at a real Envoy, which fetches the issuer's keys over real TLS."""

import hashlib
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.callers import Callers, TokenIssuer
from paddock.cli.signing import new_private_key, new_record, token_of
from paddock.cli.signing import public_key as public_part
from paddock.observe.envoy import Judge
from paddock.plan.gateway.issuers import KEPT_SECONDS
from paddock.plan.gateway.key_ring import JWKS_FIELD, key_ring
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.plan.gateway.tokens import account_audience
from paddock.plan.gateway.xds import text
from paddock.wire import Json
from support.answering import Answering, answering
from support.envoys import Gateway, free_place, gateway
from support.gateways import ALPHA, BETA
from support.issuers import (
    HOST,
    JWKS_PATH,
    Issuing,
    issuing,
    new_issuer,
    public_key,
    signed,
    signed_by_public_key,
    unsigned,
)
from support.pools import DIGEST
from support.stores import pool_of, ready_model, renamed

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA, "beta": BETA, "gamma": ready_model("gamma", DIGEST)}
SECONDS = 60.0
PLAIN = ssl.create_default_context()
"""Made once: making one takes longer than the request."""
ISSUER, CLUSTER = f"https://{HOST}", "https://cluster.test"
NOW, DAY = int(time.time()), 86_400
"""Tokens are made when tests are collected, which may be an hour before they are used."""
CLAIMS: dict[str, Json] = {
    "iss": ISSUER, "aud": "paddock", "sub": "ada@example.com", "exp": NOW + DAY,
    "models": ["alpha"],
}  # fmt: skip
PRIVATE = new_private_key()
KEY = new_record("somebody", ["*"], None, datetime.now(UTC).replace(microsecond=0))
ACCOUNT: dict[str, Json] = {
    "iss": CLUSTER, "aud": account_audience("team"), "exp": NOW + DAY,
    "sub": "system:serviceaccount:team:chat",
}  # fmt: skip
JWKS: Json = {"keys": [public_part(PRIVATE)]}
CALLERS = Callers(
    key_ring({"data": {JWKS_FIELD: text(JWKS)}}),
    TokenIssuer(CLUSTER, text({"keys": [public_key("cluster")]})),
)


def without(claim: str) -> dict[str, Json]:
    return {name: value for name, value in CLAIMS.items() if name != claim}


def with_(**claims: Json) -> dict[str, Json]:
    return {**CLAIMS, **claims}


TOKENS = {
    "for alpha": signed(CLAIMS),
    "for several audiences": signed(with_(aud=["other", "paddock"])),
    "for one word": signed(with_(models="gamma")),
    "for all": signed(with_(models=["*"])),
    "without models": signed(without("models")),
    "for no model": signed(with_(models=[])),
    "without a subject": signed(without("sub")),
    "with an empty subject": signed(with_(sub="")),
    "for another audience": signed(with_(aud="other")),
    "for no audience": signed(without("aud")),
    "of another issuer": signed(with_(iss="https://other.test")),
    "of no issuer": signed(without("iss")),
    "ended": signed(with_(exp=NOW - 120)),
    "without an end": signed(without("exp")),
    "not begun": signed(with_(nbf=NOW + DAY)),
    "unsigned": unsigned(CLAIMS),
    "signed by the public key": signed_by_public_key(CLAIMS),
    "signed by an unknown key": signed(CLAIMS, "second"),
    "signed under another's name": signed(CLAIMS, "second", {"alg": "RS256", "kid": "first"}),
    "nonsense": "x.y.z",
}
ALLOWED = {
    "for alpha": (200, 403, 403),
    "for several audiences": (200, 403, 403),
    "for one word": (403, 200, 403),
    "for all": (200, 200, 403),
    "without models": (403, 403, 403),
    "for no model": (403, 403, 403),
    "without a subject": (403, 403, 403),
    "with an empty subject": (403, 403, 403),
}
"""The answers for alpha, gamma and a model that is not there; 401 for every other token."""


def entry(issuer: Issuing, **more: Json) -> dict[str, Json]:
    return {
        "issuer": ISSUER, "audiences": ["paddock"], "jwksUri": f"{ISSUER}{JWKS_PATH}",
        "certificateAuthority": issuer.authority, **more,
    }  # fmt: skip


def pool(name: str, *models: str, **gateway: Json) -> InferencePool:
    return renamed(pool_of(EngineName.LLAMA_CPP, *models, gateway=gateway), name)


def trusting(issuer: Issuing, *models: str, **more: Json) -> InferencePool:
    """Return a pool that takes keys, an account, and tokens of the issuer with a list of models."""
    auth: Json = {
        "apiKeys": "Accepted", "serviceAccounts": ["chat"],
        "issuers": [entry(issuer, modelsClaim="models")],
    }  # fmt: skip
    return pool("a", *models, auth=auth, **more)


@contextmanager
def serving(
    folder: Path, backend: Answering, issuer: Issuing, *pools: InferencePool, kept: int = 0
) -> Iterator[Gateway]:
    """Serve the pools; the issuer's keys are kept for so long instead of minutes."""
    place = free_place(folder)
    rendering = issuer.moved(render("team", pools, MODELS, Surroundings(place=place), CALLERS))
    if kept:
        rendering = shorter(rendering, kept)
    backends = {f"{each.metadata.name}.team": backend.address for each in pools}
    with gateway(rendering, place, folder, backends) as running:
        yield running


def shorter(rendering: Rendering, seconds: int) -> Rendering:
    old, new = (f'"cache_duration":"{each}s"' for each in (KEPT_SECONDS, seconds))
    listeners = json.loads(text(list(rendering.listeners)).replace(old, new))
    return replace(rendering, listeners=listeners)


@pytest.fixture(scope="module")
def backend() -> Iterator[Answering]:
    with answering("engine") as server:
        yield server


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pki")


@pytest.fixture(scope="module")
def issuer(pki: Path) -> Iterator[Issuing]:
    with issuing(new_issuer(pki), pki) as running:
        yield running


@pytest.fixture(scope="module")
def mixed(
    issuer: Issuing, backend: Answering, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Serve alpha and gamma to whom the pool knows, beta to all."""
    folder = tmp_path_factory.mktemp("mixed")
    pools = (trusting(issuer, "alpha", "gamma"), pool("b", "beta"))
    with serving(folder, backend, issuer, *pools) as running:
        yield running


@pytest.fixture(scope="module")
def strict(
    issuer: Issuing, backend: Answering, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """Serve nothing but to whom the pool knows; every caller is counted."""
    folder = tmp_path_factory.mktemp("strict")
    with serving(folder, backend, issuer, trusting(issuer, "alpha", "gamma")) as running:
        yield running


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def ask(running: Gateway, model: str, token: str) -> httpx.Response:
    body = {"model": model, "prompt": "hi"}
    url = f"{running.url}/v1/completions"
    return httpx.post(url, json=body, headers=bearer(token), timeout=SECONDS, verify=PLAIN)


def until(running: Gateway, token: str, status: int) -> None:
    deadline = time.monotonic() + SECONDS
    while (answer := ask(running, "alpha", token)).status_code != status:
        assert time.monotonic() < deadline, (answer.status_code, running.said())
        time.sleep(0.05)


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("open_to_all", [False, True], ids=["strict", "mixed"])
def test_token_opens_its_models_and_tells_nothing_of_others(
    mixed: Gateway, strict: Gateway, name: str, *, open_to_all: bool
) -> None:
    running = mixed if open_to_all else strict
    answers = [ask(running, model, TOKENS[name]) for model in ("alpha", "gamma", "absent")]

    assert tuple(each.status_code for each in answers) == ALLOWED.get(name, (401, 401, 401))
    assert len({each.text for each in answers if each.status_code != 200}) == 1
    if open_to_all:
        assert ask(running, "beta", TOKENS[name]).status_code == 200


def listed(running: Gateway, token: str, path: str = "/v1/models", key: str = "data") -> list[str]:
    found = httpx.get(f"{running.url}{path}", headers=bearer(token), timeout=SECONDS, verify=PLAIN)
    return [each.get("id") or each["name"].removesuffix(":latest") for each in found.json()[key]]


@pytest.mark.parametrize("name", [*ALLOWED, "ended"])
def test_lists_hold_what_the_token_is_for(mixed: Gateway, strict: Gateway, name: str) -> None:
    token, allowed = TOKENS[name], ALLOWED.get(name, ())
    own = [model for model, status in zip(("alpha", "gamma"), allowed, strict=False)
           if status == 200]  # fmt: skip

    assert listed(mixed, token) == sorted([*own, "beta"])
    assert listed(mixed, token, "/api/tags", "models") == sorted([*own, "beta"])
    if name in ALLOWED:
        assert listed(strict, token) == own
        version = httpx.get(f"{strict.url}/api/version", headers=bearer(token), verify=PLAIN).json()
        assert list(version) == ["version"]
    for model in ("alpha", "gamma"):
        one = httpx.get(f"{strict.url}/v1/models/{model}", headers=bearer(token), verify=PLAIN)
        assert (one.status_code == 200) == (model in own)


def test_keys_accounts_and_tokens_open_one_pool(
    mixed: Gateway, strict: Gateway, backend: Answering
) -> None:
    callers = (token_of(KEY, "paddock/team", PRIVATE), signed(ACCOUNT, "cluster"), signed(CLAIMS))
    for running in (mixed, strict):
        assert [ask(running, "alpha", each).status_code for each in callers] == [200, 200, 200]
        assert "authorization" not in backend.headers[-1]
        mixed_up = (signed(ACCOUNT), signed(with_(iss="paddock/team")), signed(CLAIMS, "cluster"))
        assert [ask(running, "alpha", each).status_code for each in mixed_up] == [401, 401, 401]


def test_two_tokens_in_one_request_are_none(mixed: Gateway, strict: Gateway) -> None:
    good, ended = (f"Bearer {TOKENS[name]}" for name in ("for alpha", "ended"))
    for running in (mixed, strict):
        for pair in ((good, ended), (ended, good), (good, good)):
            headers = [("Authorization", each) for each in pair]
            url = f"{running.url}/v1/completions"
            answer = httpx.post(
                url, json={"model": "alpha"}, headers=headers, timeout=SECONDS, verify=PLAIN
            )
            assert answer.status_code == 401


def test_keys_are_fetched_ahead_and_once(strict: Gateway, issuer: Issuing) -> None:
    assert ask(strict, "alpha", TOKENS["for alpha"]).status_code == 200
    before = len(issuer.fetched)
    for name in ("for alpha", "signed by an unknown key", "of another issuer") * 3:
        ask(strict, "alpha", TOKENS[name])

    assert len(issuer.fetched) == before
    assert set(issuer.fetched) == {JWKS_PATH}


def test_each_identity_is_counted_by_itself_and_known_as_a_hash(
    issuer: Issuing, backend: Answering, tmp_path: Path
) -> None:
    limits: Json = {"requestsPerMinute": 2}
    told: Json = {"collector": "Managed", "otlp": {"endpoint": "http://receiver.test"}}
    counted = trusting(issuer, "alpha", limits=limits)
    counted = InferencePool.model_validate(
        {**(plain := counted.model_dump(by_alias=True, exclude_none=True)),
         "spec": {**plain["spec"], "telemetry": told}}
    )  # fmt: skip
    ada, bob = signed(CLAIMS), signed(with_(sub="bob@example.com"))
    chat = signed(ACCOUNT, "cluster")
    with serving(tmp_path, backend, issuer, counted) as running:
        statuses = [ask(running, "alpha", each).status_code for each in (ada, bob, chat) * 3]
        admin = f"http://127.0.0.1:{running.place.admin_port}/stats"
        stats = httpx.get(admin, timeout=SECONDS, verify=PLAIN).text

    assert statuses == [200] * 6 + [429] * 3
    for claims in (CLAIMS, with_(sub="bob@example.com"), ACCOUNT):
        said = f"{claims['iss']}\n{claims['sub']}"
        assert hashlib.sha256(said.encode()).hexdigest()[:16] in stats
        assert str(claims["sub"]) not in stats


def test_while_the_issuer_is_down_others_are_answered_and_it_comes_back(
    pki: Path, issuer: Issuing, backend: Answering, tmp_path: Path
) -> None:
    away = Issuing(new_issuer(pki).port, issuer.authority)
    key, token = token_of(KEY, "paddock/team", PRIVATE), TOKENS["for alpha"]
    with ExitStack() as stack:
        running = stack.enter_context(serving(tmp_path, backend, away, trusting(away, "alpha")))
        assert ask(running, "alpha", key).status_code == 200
        assert ask(running, "alpha", token).status_code == 401
        with issuing(away, pki):
            until(running, token, 200)
        assert ask(running, "alpha", token).status_code == 200


def test_new_key_of_the_issuer_is_good_and_the_old_one_is_not(
    pki: Path, issuer: Issuing, backend: Answering, tmp_path: Path
) -> None:
    turning = Issuing(new_issuer(pki).port, issuer.authority)
    old, new = signed(CLAIMS), signed(CLAIMS, "second")
    with (
        issuing(turning, pki),
        serving(tmp_path, backend, turning, trusting(turning, "alpha"), kept=6) as running,
    ):
        until(running, old, 200)
        assert ask(running, "alpha", new).status_code == 401
        turning.kids[JWKS_PATH] = ("second",)
        until(running, new, 200)
        until(running, old, 401)


def test_host_without_the_right_certificate_is_not_even_asked(
    issuer: Issuing, backend: Answering, tmp_path: Path
) -> None:
    (folder := tmp_path / "pki").mkdir()
    wrong = new_issuer(folder, "other.test")
    unknown = Issuing(wrong.port, issuer.authority)
    with issuing(wrong, folder):
        for index, each in enumerate((wrong, unknown)):
            (place := tmp_path / str(index)).mkdir()
            with serving(place, backend, each, trusting(each, "alpha")) as running:
                assert ask(running, "alpha", TOKENS["for alpha"]).status_code == 401

    assert wrong.fetched == []


def test_pool_that_names_the_issuer_with_keys_of_its_own_opens_no_other(
    pki: Path, issuer: Issuing, backend: Answering, tmp_path: Path
) -> None:
    both = Issuing(new_issuer(pki).port, issuer.authority)
    both.kids["/mine"] = ("mine",)
    own = {**entry(both), "jwksUri": f"{ISSUER}/mine"}
    pools = (trusting(both, "alpha"), pool("b", "beta", auth={"issuers": [own]}))
    first, mine = signed(CLAIMS), signed(with_(models=["*"]), "mine")
    with issuing(both, pki), serving(tmp_path, backend, both, *pools) as running:
        until(running, first, 200)
        statuses = [
            [ask(running, model, token).status_code for model in ("alpha", "beta")]
            for token in (first, mine)
        ]

    assert statuses == [[200, 403], [403, 200]]


async def test_envoy_takes_the_configuration_as_it_is(issuer: Issuing, tmp_path: Path) -> None:
    public = {key: value for key, value in entry(issuer).items() if key != "certificateAuthority"}
    pools = [trusting(issuer, "alpha"), pool("b", "beta", auth={"issuers": [public]})]
    around = Surroundings(place=free_place(tmp_path))

    assert await Judge().refusal("team", render("team", pools, MODELS, around, CALLERS)) is None
