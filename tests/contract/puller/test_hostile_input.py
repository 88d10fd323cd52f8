"""Hostile input of every kind: refused for the right reason, in bounds, and nothing is let in."""

import time
import tracemalloc
from pathlib import Path

import pytest

from paddock.api.pull import Access, PullPlan, PullReason
from paddock.puller import retry
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store
from support.hostile import addresses, answers, headers
from support.hostile.case import Case, file
from support.hostile.headers import WHOLE, one, safetensors
from support.pull_process import tree
from support.raw_server import RawSite, serving_raw

pytestmark = pytest.mark.contract
CASES: tuple[Case, ...] = (*addresses.CASES, *answers.CASES, *headers.CASES)
SECONDS = 30.0
BYTES = 96 << 20


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the number of tries, shorten only the waits between them."""
    monkeypatch.setattr(retry, "_backoff", lambda _state: 0.001)


def run(case: Case, site: RawSite, folder: Path) -> None:
    access = Access(
        cidrs=("127.0.0.1/32",),
        http=True,
        hf_endpoint=f"http://{site.host}",
        ollama_registry=site.host,
    )
    source = case.source.replace("{host}", site.host)
    plan = PullPlan.model_construct(model="tiny", source=source, parallelism=2, access=access)
    pull(plan, Store(folder), Meter())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_hostile_input_is_refused_and_nothing_is_let_in(case: Case, tmp_path: Path) -> None:
    store = tmp_path / "claim"
    store.mkdir()
    (tmp_path / "outside").write_bytes(b"not the puller's")
    before = {name: what for name, what in tree(tmp_path).items() if name != "claim"}
    started = time.monotonic()
    tracemalloc.start()
    with serving_raw(RawSite(case.answers)) as site, pytest.raises(PullError) as refused:
        run(case, site, store)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.cause is case.reason, str(refused.value)
    assert time.monotonic() - started < SECONDS
    assert peak < BYTES
    assert len(site.asked) <= case.requests
    outside = {name: what for name, what in tree(tmp_path).items() if not name.startswith("claim")}
    assert outside == before
    let_in = [name for name in tree(store) if name.startswith(("models/", "blobs/sha256"))]
    assert let_in == []
    said = str(refused.value)
    assert len(said) < 500
    assert said.isprintable()


def test_there_are_enough_cases_and_none_is_counted_twice() -> None:
    assert len({case.name for case in CASES}) == len(CASES)
    assert len(CASES) >= 400
    assert {case.reason for case in CASES} >= {
        PullReason.INVALID_SPEC,
        PullReason.SOURCE_FORBIDDEN,
        PullReason.SOURCE_REFUSED,
        PullReason.SOURCE_UNREACHABLE,
        PullReason.UNSUPPORTED_FORMAT,
        PullReason.INVALID_ARTIFACT,
        PullReason.DIGEST_MISMATCH,
    }


@pytest.mark.parametrize(
    "case",
    [
        file("gguf", PullReason.INVALID_ARTIFACT, WHOLE),
        file("safetensors", PullReason.INVALID_ARTIFACT, safetensors(one(), 16), "/m.safetensors"),
    ],
    ids=lambda case: case.name,
)
def test_unspoiled_file_passes(case: Case, tmp_path: Path) -> None:
    with serving_raw(RawSite(case.answers)) as site:
        run(case, site, tmp_path)
    assert (tmp_path / "models" / "tiny").is_dir()
