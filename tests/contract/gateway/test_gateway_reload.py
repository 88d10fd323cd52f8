"""A real Envoy judges, takes and refuses configurations while it serves."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from paddock.observe.envoy import Judge
from paddock.plan.gateway.bootstrap import Place
from paddock.plan.gateway.rendering import Rendering, Surroundings, render
from support.envoys import free_place, gateway
from support.gateways import ALPHA, BETA, CPP, OLLAMA

pytestmark = pytest.mark.contract
MODELS = {"alpha": ALPHA, "beta": BETA}


def rendered(place: Place, *pools: object) -> Rendering:
    return render("team", pools, MODELS, Surroundings(place=place))  # type: ignore[arg-type]  # pools


async def test_envoy_accepts_what_is_rendered(tmp_path: Path) -> None:
    rendering = rendered(free_place(tmp_path), CPP, OLLAMA)

    assert await Judge().refusal("team", rendering) is None


async def test_envoys_own_words_tell_why_it_refuses(tmp_path: Path) -> None:
    good = rendered(free_place(tmp_path), CPP)
    unknown = replace(good, whole=good.whole.replace('"pool/cpp","weight"', '"pool/none","weight"'))
    wrong = replace(good, version="other", whole=good.whole.replace('"all"', "3"))
    judge = Judge()

    said = await judge.refusal("team", unknown)
    assert said is not None
    assert "unknown weighted cluster 'pool/none'" in said
    said = await judge.refusal("team", wrong)
    assert said is not None
    assert str(tmp_path) not in said
    assert "unexpected character: '3'" in said
    assert not {"\n", "{"} & set(said)


def test_new_files_are_taken_while_it_serves(tmp_path: Path) -> None:
    place = free_place(tmp_path)
    with (
        gateway(rendered(place, CPP), place, tmp_path, {}) as front,
        httpx.Client(base_url=front.url) as client,
    ):
        before = client.get("/v1/models").json()
        front.take(rendered(place, CPP, OLLAMA))
        after = client.get("/v1/models").json()

    assert [each["id"] for each in before["data"]] == ["alpha"]
    assert [each["id"] for each in after["data"]] == ["alpha", "beta"]


def test_bad_file_leaves_the_old_one_in_force(tmp_path: Path) -> None:
    place = free_place(tmp_path)
    good = rendered(place, CPP)
    routes = json.loads(json.dumps(good.routes))
    routes["virtual_hosts"][0]["domains"] = []
    bad = replace(good, routes=routes)
    with gateway(good, place, tmp_path, {}) as front:
        front.write(bad)
        front.until_said("Domains")

        assert front.versions() == {good.version}
        assert httpx.get(f"{front.url}/v1/models").status_code == 200
