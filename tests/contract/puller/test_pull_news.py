"""What a pull tells while it runs: what is in its way, from the second try until it is over."""

import json
import urllib.request
from pathlib import Path

import pytest

from paddock.api.pull import Access, PullFailure, PullPlan, PullReason
from paddock.puller import retry
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.serve import progress_served
from paddock.puller.store import Store
from support.tiny_model import write_tiny_model
from support.web_server import Site, serving

pytestmark = pytest.mark.contract
LOOPBACK = Access(cidrs=("127.0.0.0/8",), http=True)


class Diary(Meter):
    """A meter that remembers all it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[PullReason | None] = []

    def tell(self, trouble: PullFailure | None) -> None:
        super().tell(trouble)
        self.told.append(trouble.reason if trouble else None)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the number of tries, shorten only the waits between them."""
    monkeypatch.setattr(retry, "_backoff", lambda _state: 0.001)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(files={"/m.gguf": write_tiny_model(tmp_path / "m.gguf").read_bytes()})


def run(site: Site, folder: Path, diary: Diary, **more: object) -> None:
    folder.mkdir()
    with serving(site):
        plan = {"model": "tiny", "source": f"{site.url}/m.gguf", "access": LOOPBACK, **more}
        pull(PullPlan.model_validate(plan), Store(folder), diary)


def test_blip_is_not_told_and_a_lasting_refusal_is_until_it_is_over(
    site: Site, tmp_path: Path
) -> None:
    blip, lasting = Diary(), Diary()
    site.answers = lambda _path, _range, count: 503 if count == 1 else None
    run(site, tmp_path / "a", blip)
    assert set(blip.told) == {None}
    site.requests.clear()
    site.answers = lambda _path, _range, count: 503 if count <= 3 else None
    run(site, tmp_path / "b", lasting)
    assert lasting.told[:3] == [PullReason.SOURCE_UNREACHABLE, PullReason.SOURCE_UNREACHABLE, None]
    assert lasting.news().trouble is None


def test_wrong_digest_is_told_from_the_first_time(site: Site, tmp_path: Path) -> None:
    diary = Diary()
    with pytest.raises(PullError) as failed:
        run(site, tmp_path / "store", diary, digest="sha256:" + "0" * 64)
    assert set(diary.told) == {PullReason.DIGEST_MISMATCH}
    assert diary.news().trouble == failed.value.failure
    assert not failed.value.failure.retry


def test_trouble_is_served_beside_the_progress() -> None:
    meter = Meter()
    meter.expect(10)
    meter.tell(PullFailure(reason=PullReason.SOURCE_UNREACHABLE, message="So.", retry=True))
    with (
        progress_served(meter, port=0) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/progress", timeout=5) as answer,
    ):
        said = json.load(answer)
    assert said["totalBytes"] == 10
    assert said["trouble"] == {"reason": "SourceUnreachable", "message": "So.", "retry": True}
