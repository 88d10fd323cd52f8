"""The puller against a hub that answers as Hugging Face documents it; the real one is out of reach.

What is taken from its documentation, and all that is relied on: `GET /api/models/REPO/revision/REV`
with `blobs=true` lists `siblings` (`rfilename`, `size`, `lfs.sha256`) and the commit as `sha`; `GET
/REPO/resolve/COMMIT/FILE` redirects a large file, Xet-backed ones too, to one signed URL of another
host (the "LFS bridge") that honours ranges. The bridge sends no ETag.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.api.pull import Access, PullPlan, PullReason, PullResult
from paddock.puller import credentials
from paddock.puller.journal import BLOCK
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store
from support.pull_process import start
from support.tiny_model import write_tiny_model
from support.web_server import Site, serving

pytestmark = pytest.mark.contract
COMMIT = "5" * 40
LARGE, SMALL = "m-Q8_0.gguf", "m-Q4_K_M.gguf"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("hub")
    return {
        name: write_tiny_model(folder / name, seed=seed).read_bytes() + os.urandom(blocks * BLOCK)
        for seed, (name, blocks) in enumerate(((LARGE, 24), (SMALL, 6)))
    }


@pytest.fixture
def bridge(weights: dict[str, bytes]) -> Iterator[Site]:
    files = {f"/xet/{name}": content for name, content in weights.items()}
    with serving(Site(files=files, etags=dict.fromkeys(files, ""))) as site:
        yield site


@pytest.fixture
def hub(weights: dict[str, bytes], bridge: Site) -> Iterator[Site]:
    siblings = [
        {
            "rfilename": name,
            "size": len(content),
            "lfs": {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)},
        }
        for name, content in weights.items()
    ]
    listing = json.dumps({"sha": COMMIT, "siblings": [{"rfilename": "README.md"}, *siblings]})
    site = Site(files={"/api/models/o/r/revision/main": listing.encode()})

    def redirect(path: str, _range: str, _count: int) -> int | None:
        if not path.startswith(f"/o/r/resolve/{COMMIT}/"):
            return None
        name = path.rpartition("/")[2]
        site.headers = {"Location": f"{bridge.url}/xet/{name}?X-Signature=canary"}
        return 302

    site.answers = redirect
    with serving(site):
        yield site


def plan_of(hub: Site, source: str = "hf://o/r", **more: object) -> PullPlan:
    access = Access(cidrs=("127.0.0.1/32",), http=True, hf_endpoint=hub.url)
    return PullPlan.model_validate(
        {"model": "tiny", "source": source, "access": access, "parallelism": 4, **more}
    )


def run(hub: Site, folder: Path, source: str = "hf://o/r", **more: object) -> PullResult:
    return pull(plan_of(hub, source, **more), Store(folder), Meter())


def test_quantization_is_chosen_and_comes_over_the_bridge_once(
    hub: Site, bridge: Site, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    result = run(hub, tmp_path, quantization="Q4_K_M")
    assert result.digest == f"sha256:{hashlib.sha256(weights[SMALL]).hexdigest()}"
    assert result.revision == COMMIT
    assert bridge.sent == len(weights[SMALL]) + 1
    assert run(hub, tmp_path, quantization="Q4_K_M").fetched_bytes == 0


def test_auto_takes_the_largest_that_fits(
    hub: Site, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    limit = len(weights[LARGE]) - 1
    result = run(hub, tmp_path, quantization="Auto", max_bytes=limit)
    assert [file.name for file in result.files] == [SMALL]


def test_killed_pull_is_resumed_though_the_bridge_tells_no_version(
    hub: Site, bridge: Site, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    (store := tmp_path / "store").mkdir()
    plan = plan_of(hub, f"hf://o/r/{LARGE}")
    first = start(plan, store, tmp_path)
    half = len(weights[LARGE]) // 2

    def kill_half_way(_path: str, _offset: int) -> None:
        if bridge.sent > half:
            first.process.kill()
            first.process.wait()
            raise ConnectionAbortedError

    bridge.gate = kill_half_way
    first.killed()
    bridge.gate = lambda _path, _offset: None
    result = start(plan, store, tmp_path).finished().result
    assert result is not None
    assert 0 < result.fetched_bytes < len(weights[LARGE])
    assert result.digest == f"sha256:{hashlib.sha256(weights[LARGE]).hexdigest()}"


def test_token_goes_to_the_hub_and_not_to_the_bridge(
    hub: Site, bridge: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder := tmp_path / "credentials").mkdir()
    (folder / "token").write_text("hf_canary")
    monkeypatch.setattr(credentials, "FOLDER", folder)
    (store := tmp_path / "store").mkdir()
    run(hub, store, f"hf://o/r/{SMALL}")
    assert set(hub.authorizations) == {"Bearer hf_canary"}
    assert set(bridge.authorizations) == {None}


def test_bytes_that_are_not_the_hubs_are_refused(
    hub: Site, bridge: Site, tmp_path: Path, weights: dict[str, bytes]
) -> None:
    bridge.files[f"/xet/{SMALL}"] = weights[SMALL][:-1] + b"!"
    with pytest.raises(PullError) as refused:
        run(hub, tmp_path, f"hf://o/r/{SMALL}")
    assert refused.value.cause is PullReason.DIGEST_MISMATCH
    assert not list((tmp_path / "blobs").glob("sha256-*"))


def test_signature_is_in_no_message(hub: Site, bridge: Site, tmp_path: Path) -> None:
    bridge.answers = lambda *_: 403
    with pytest.raises(PullError) as refused:
        run(hub, tmp_path, f"hf://o/r/{SMALL}")
    assert refused.value.cause is PullReason.SOURCE_UNAUTHORIZED
    assert "canary" not in str(refused.value)
