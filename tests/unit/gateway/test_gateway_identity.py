"""The hash that stands for a caller, run in LuaJIT as Envoy runs it, over any identities."""

import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st
from lupa import luajit21

from paddock.api.inferencepool import EngineName
from paddock.callers import Callers, TokenIssuer
from paddock.plan.engines.registry import PROFILES
from paddock.plan.gateway.identity import CALLER, caller_script
from paddock.plan.gateway.issuers import named_by
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from paddock.plan.pool_refusals import refuse_pool
from paddock.wire import Json
from support.gateways import ALPHA, BETA
from support.issuers import new_issuer
from support.stores import pool_of, renamed

MODELS = {"alpha": ALPHA, "beta": BETA}
ENTRY: dict[str, Json] = {
    "issuer": "https://a.test", "audiences": ["one"], "jwksUri": "https://a.test/keys",
}  # fmt: skip
_HANDLE = """
function(issuer, claim, value)
  local key
  local found = {place = {iss = issuer, [claim] = value}}
  local metadata = {get = function(_, _) return found end,
                    set = function(_, _, name, hash) key = name .. "=" .. hash end}
  local info = {dynamicMetadata = function() return metadata end}
  envoy_on_request({streamInfo = function() return info end})
  return key
end
"""


@cache
def script() -> Callable[[bytes, bytes, bytes], bytes | None]:
    runtime = luajit21.LuaRuntime(encoding=None)
    runtime.execute(caller_script({"place": ["azp", "sub"]}).encode())
    asked: Callable[[bytes, bytes, bytes], bytes | None] = runtime.eval(_HANDLE.encode())
    return asked


@given(st.text(max_size=200), st.text(min_size=1, max_size=200))
@example("https://a.test", "x" * 40)
@example("https://a.test", "x" * 41)
@example("https://a.test", "x" * 49)
@example("https://a.test", "x" * 113)
@example("", "x" * 100_000)
def test_hash_is_the_beginning_of_sha256_of_issuer_and_identity(issuer: str, who: str) -> None:
    expected = hashlib.sha256(f"{issuer}\n{who}".encode()).hexdigest()[:16]
    for claim in (b"sub", b"azp"):
        said = script()(issuer.encode(), claim, who.encode())
        assert said == f"{CALLER}={expected}".encode()


def test_without_an_identity_nobody_is_known() -> None:
    assert script()(b"https://a.test", b"sub", b"") is None
    assert script()(b"https://a.test", b"email", b"x") is None


def rendered(*entries: dict[str, Json], **auth: Json) -> Rendering:
    pools = [
        renamed(
            pool_of(EngineName.LLAMA_CPP, model, gateway={"auth": {"issuers": [each], **auth}}),
            model,
        )
        for model, each in zip(MODELS, entries, strict=False)
    ]
    callers = Callers(cluster=TokenIssuer("https://cluster.test", '{"keys":[]}'))
    return render("team", pools, MODELS, Surroundings(), callers)


def places(rendering: Rendering) -> list[str]:
    names = (str(each["name"]) for each in rendering.clusters)
    return [name for name in names if name.startswith("issuer/")]


def test_one_issuer_by_the_same_keys_has_one_place_for_every_audience() -> None:
    rendering = rendered(ENTRY, {**ENTRY, "audiences": ["two"], "modelsClaim": "models"})

    (place,) = places(rendering)
    assert json.dumps(rendering.listeners).count('"audiences": ["one", "two"]') == 1
    assert place in json.dumps(rendering.routes)


def test_one_issuer_by_other_keys_has_a_place_of_its_own(tmp_path: Path) -> None:
    authority = new_issuer(tmp_path).authority
    others: tuple[dict[str, Json], ...] = (
        {"jwksUri": "https://a.test/other"}, {"certificateAuthority": authority},
    )  # fmt: skip
    for other in others:
        assert len(set(places(rendered(ENTRY, {**ENTRY, **other})))) == 2


def test_host_is_verified_by_its_name_and_the_public_authorities() -> None:
    (cluster,) = (
        each for each in rendered({**ENTRY, "jwksUri": "https://b.test:8443/k"}).clusters
        if str(each["name"]).startswith("issuer/")
    )  # fmt: skip
    said = json.dumps(cluster)

    assert '"sni": "b.test"' in said
    assert '{"san_type": "DNS", "matcher": {"exact": "b.test"}}' in said
    assert '"filename": "/etc/ssl/certs/ca-certificates.crt"' in said
    assert '"address": "b.test", "port_value": 8443' in said


def test_pool_whose_authority_cannot_be_read_is_refused_and_keeps_no_other_from_changing() -> None:
    broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"
    gateway: Json = {"auth": {"issuers": [{**ENTRY, "certificateAuthority": broken}]}}
    pool = pool_of(EngineName.LLAMA_CPP, "alpha", gateway=gateway)

    (refusal,) = refuse_pool(pool, PROFILES[EngineName.LLAMA_CPP], [])
    assert refusal.path == "spec.gateway.auth.issuers[0].certificateAuthority"
    assert "issuer/" not in render("team", [pool], MODELS, Surroundings()).whole


def test_without_issuers_and_accounts_no_script_looks_at_callers() -> None:
    keys_only = pool_of(EngineName.LLAMA_CPP, "alpha", gateway={"auth": {"apiKeys": "Accepted"}})
    plain = render("team", [keys_only], MODELS, Surroundings())

    assert '"caller"' not in json.dumps(plain.listeners)
    assert '"caller"' in json.dumps(rendered(ENTRY).listeners)
    assert not named_by([])
