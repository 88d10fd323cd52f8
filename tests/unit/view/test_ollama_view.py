"""The view laid over claims: what it holds, and what hostile claims cannot make it hold."""

import json
import os
from pathlib import Path

import pytest

from paddock.api.view import ViewModel, ViewPlan
from paddock.puller.problems import PullError
from paddock.puller.view import PARAMETERS, lay_view
from paddock.raw import items
from paddock.wire import Json

HEX = "a" * 64
MODEL, CONFIG, PARAMS = (f"sha256:{digit * 64}" for digit in "abc")


def manifest_of(*layers: Json, config: Json = None) -> dict[str, Json]:
    return {
        "schemaVersion": 2,
        "config": config or {"digest": CONFIG, "size": 3},
        "layers": list(layers) or [{"mediaType": "model", "digest": MODEL, "size": 3}],
    }


def claim(tmp_path: Path, manifest: Json, name: str = "alpha") -> Path:
    store = tmp_path / "claim"
    (store / "blobs").mkdir(parents=True)
    for digest in (MODEL, CONFIG):
        (store / "blobs" / digest.replace(":", "-")).write_text(digest[-3:])
    (store / "blobs" / PARAMS.replace(":", "-")).write_text('{"temperature": 0.5, "num_ctx": 1}')
    folder = store / "manifests/registry.ollama.ai/library" / name
    folder.mkdir(parents=True)
    (folder / "latest").write_text(manifest if isinstance(manifest, str) else json.dumps(manifest))
    return store


def laid(tmp_path: Path, manifest: Json, **other: str | int) -> Path:
    store = claim(tmp_path, manifest)
    model = ViewModel.model_validate(
        {"name": "alpha", "store": str(store), "servedAs": "alpha", **other}
    )
    (target := tmp_path / "view").mkdir(exist_ok=True)
    lay_view(ViewPlan(models=(model,)), target)
    return target


def content(view: Path, name: str = "alpha", tag: str = "latest") -> dict[str, Json]:
    text = (view / "manifests/registry.ollama.ai/library" / name / tag).read_text()
    whole: dict[str, Json] = json.loads(text)
    return whole


def test_view_links_every_blob_of_the_manifest_and_no_other(tmp_path: Path) -> None:
    view = laid(tmp_path, manifest_of())

    links = {link.name: link.readlink() for link in (view / "blobs").iterdir()}
    blobs = tmp_path / "claim" / "blobs"
    assert links == {
        name: blobs / name for name in (MODEL.replace(":", "-"), CONFIG.replace(":", "-"))
    }
    assert content(view) == manifest_of()


def test_model_may_have_another_name_and_tag_in_the_view(tmp_path: Path) -> None:
    view = laid(tmp_path, manifest_of(), servedAs="Team.Chat:8b-q4")

    assert content(view, "Team.Chat", "8b-q4") == manifest_of()
    assert not (view / "manifests/registry.ollama.ai/library/alpha").exists()


def test_context_replaces_the_parameters_layer_and_keeps_the_other_parameters(
    tmp_path: Path,
) -> None:
    layers: list[Json] = [
        {"mediaType": "model", "digest": MODEL, "size": 3},
        {"mediaType": PARAMETERS, "digest": PARAMS, "size": 3},
    ]
    view = laid(tmp_path, manifest_of(*layers), contextLength=512)
    (_, parameters) = items(content(view), "layers")
    blob = view / "blobs" / str(parameters["digest"]).replace(":", "-")

    assert json.loads(blob.read_text()) == {"temperature": 0.5, "num_ctx": 512}
    assert not (view / "blobs" / PARAMS.replace(":", "-")).exists()


def test_view_that_was_laid_in_part_is_finished(tmp_path: Path) -> None:
    first = laid(tmp_path, manifest_of(), contextLength=512)
    (store,) = (tmp_path / "claim",)
    before = content(first)
    lay_view(
        ViewPlan(models=(ViewModel(name="alpha", store=str(store), served_as="alpha",
                                   context_length=512),)), first,
    )  # fmt: skip

    assert content(first) == before


HOSTILE: list[Json] = [
    "",
    "not json",
    "[]",
    "null",
    {},
    {"layers": "x"},
    {"layers": [1]},
    {"layers": [{}]},
    {"layers": [{"digest": 5}]},
    {"layers": [{"digest": "sha256:"}]},
    {"layers": [{"digest": f"sha256:{HEX}x"}]},
    {"layers": [{"digest": f"sha256:{HEX[:-1]}"}]},
    {"layers": [{"digest": f"sha512:{HEX}"}]},
    {"layers": [{"digest": f"sha256:{HEX}\n"}]},
    {"layers": [{"digest": "sha256:../../../etc/passwd"}]},
    {"layers": [{"digest": f"sha256:../{HEX}"}]},
    {"layers": [{"digest": "/etc/passwd"}]},
    {"layers": [], "config": {"digest": "../../etc/shadow"}},
    {"layers": [{"digest": f"sha256:{HEX.upper()}"}]},
]


@pytest.mark.parametrize("manifest", HOSTILE)
def test_manifest_that_names_anything_but_a_digest_makes_nothing(
    tmp_path: Path, manifest: Json
) -> None:
    with pytest.raises(PullError, match=r"has no whole Ollama manifest of alpha"):
        laid(tmp_path, manifest)

    assert list((tmp_path / "view").rglob("latest")) == []


def test_manifest_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    store = claim(tmp_path, manifest_of())
    secret = tmp_path / "secret"
    secret.write_text(json.dumps(manifest_of()))
    (manifest,) = store.rglob("latest")
    manifest.unlink()
    manifest.symlink_to(secret)
    model = ViewModel(name="alpha", store=str(store), served_as="alpha")

    with pytest.raises(PullError):
        lay_view(ViewPlan(models=(model,)), tmp_path / "view")


def test_endless_manifest_is_not_read_to_its_end(tmp_path: Path) -> None:
    store = claim(tmp_path, manifest_of())
    (manifest,) = store.rglob("latest")
    os.truncate(manifest, 1 << 40)
    model = ViewModel(name="alpha", store=str(store), served_as="alpha")

    with pytest.raises(PullError):
        lay_view(ViewPlan(models=(model,)), tmp_path / "view")


def test_model_that_is_not_there_is_told(tmp_path: Path) -> None:
    model = ViewModel(name="beta", store=str(claim(tmp_path, manifest_of())), served_as="beta")

    with pytest.raises(PullError, match="beta"):
        lay_view(ViewPlan(models=(model,)), tmp_path / "view")
