"""A puller that is killed anywhere and started again: little is fetched twice, nothing is left."""

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paddock.api.pull import PLAN_VARIABLE, REPORT_FILE_VARIABLE, Access, PullPlan
from paddock.puller.journal import BLOCK
from paddock.puller.store import blob_name
from support import kill_points
from support.pull_process import Puller, start, tree
from support.web_server import Site, serving

pytestmark = pytest.mark.contract
LOOPBACK = Access(cidrs=("127.0.0.0/8",), http=True)
CONNECTIONS = 4
DEADLINE = 60.0


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def plan_of(site: Site, model: str = "tiny", digest: str | None = None) -> PullPlan:
    return PullPlan(
        model=model,
        source=f"{site.url}/m.gguf",
        digest=digest,
        parallelism=CONNECTIONS,
        access=LOOPBACK,
    )


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen"
        time.sleep(0.002)


class OneBlockAhead:
    """A gate that sends no connection more than the block after the last one it has written.

    So what a kill loses is told by the puller alone, not by what lies in the kernel's buffers.
    """

    def __init__(self, store: Path) -> None:
        self._store, self._own, self._lock = store, threading.local(), threading.Lock()
        self._kill_after: int | None = None
        self._puller: Puller | None = None
        self._passed = 0

    def begin(self, start_puller: Callable[[], Puller], kill_after: int | None) -> Puller:
        """Start the puller that all coming connections are of; kill it after so many chunks."""
        with self._lock:
            self._kill_after, self._passed = kill_after, 0
            self._puller = start_puller()
            return self._puller

    def __call__(self, _path: str, offset: int) -> None:
        """Let a chunk pass, or end the connection of a puller that is gone."""
        block = offset // BLOCK
        with self._lock:
            if not hasattr(self._own, "puller"):
                self._own.puller, self._own.first = self._puller, block
        if block > self._own.first:
            wait_for(lambda: self._gone() or self._written(block - 1), f"block {block - 1}")
        with self._lock:
            if self._gone():
                raise ConnectionAbortedError
            self._passed += 1
            if self._passed == self._kill_after:
                self._own.puller.process.kill()
                self._own.puller.process.wait()

    def _gone(self) -> bool:
        return self._own.puller.process.poll() is not None

    def _written(self, block: int) -> bool:
        blobs = list(self._store.glob("blobs/sha256-*"))
        marks = [file.read_bytes() for file in self._store.glob("blobs/partial/*.marks")]
        return bool(blobs) or any(each[block : block + 1] == b"\1" for each in marks)


def stolen(asked: list[str]) -> int:
    """Count the ranges that lie in one asked for before: of each, a block may be under way."""
    ranges = [tuple(map(int, each.removeprefix("bytes=").split("-"))) for each in asked]
    return sum(
        any(first <= start <= last for first, last in ranges[:index])
        for index, (start, _) in enumerate(ranges)
    )


@pytest.mark.parametrize("chunks", [1, 2, 3, 7, 16, 33, 50, 64, 79, 84])
def test_killed_pull_fetches_at_most_one_part_of_each_connection_again(
    site: Site, tmp_path: Path, weights: bytes, chunks: int
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    site.gate = gate = OneBlockAhead(store)
    gate.begin(lambda: start(plan_of(site), store, tmp_path), kill_after=chunks).killed()
    before = len(site.requests)
    second = gate.begin(lambda: start(plan_of(site), store, tmp_path), kill_after=None)
    report = second.finished()
    assert report.result is not None
    assert report.result.digest == digest_of(weights)
    asked = [each for _, each in site.requests]
    steals = stolen(asked[1:before]) + stolen(asked[before + 1 :])
    again = site.sent - 2 - len(weights)
    assert 0 <= again <= (CONNECTIONS + steals) * BLOCK
    check_clean(store, weights)


def check_clean(store: Path, weights: bytes) -> None:
    """The store holds the model and nothing of a pull but the link from version to blob."""
    name = blob_name(digest_of(weights))
    found = tree(store)
    left = [each for each in found if each.startswith("blobs/partial/")]
    assert [Path(each).suffix for each in left] in ([], [".version"])
    assert all(found[each] == f"-> ../{name}" for each in left)
    assert hashlib.sha256((store / "blobs" / name).read_bytes()).hexdigest() in name
    assert found["models/tiny/m.gguf"] == f"-> ../../blobs/{name}"
    model = [each for each in found if each.startswith("models/tiny/")]
    assert sorted(model) == ["models/tiny/.paddock.json", "models/tiny/m.gguf"]
    library = [each for each in found if "library/tiny/" in each]
    assert library == ["manifests/registry.ollama.ai/library/tiny/latest"]
    manifest = json.loads((store / library[0]).read_text())
    for layer in [manifest["config"], *manifest["layers"]]:
        content = (store / "blobs" / blob_name(layer["digest"])).read_bytes()
        assert digest_of(content) == layer["digest"]
        assert len(content) == layer["size"]


@pytest.mark.parametrize("digest", ["unknown", "known"])
def test_puller_killed_before_any_step_on_its_store_ends_well_the_next_time(
    tmp_path: Path, weights: bytes, digest: str
) -> None:
    content = weights[: 4 * BLOCK + 77]
    with serving(Site(files={"/m.gguf": content})) as site:
        plan = plan_of(site, digest=digest_of(content) if digest == "known" else None)
        environment = {
            **os.environ,
            PLAN_VARIABLE: plan.model_dump_json(by_alias=True, exclude_none=True),
            REPORT_FILE_VARIABLE: str(tmp_path / "report"),
        }
        (stores := tmp_path / "stores").mkdir()
        done = subprocess.run(
            [sys.executable, kill_points.__file__, str(stores)],
            env=environment,
            capture_output=True,
            check=True,
        )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) > 40
    assert [line["killed"] for line in lines] == [-9] * (len(lines) - 1) + [0]
    for line, store in zip(lines, sorted(stores.iterdir()), strict=True):
        assert line["status"] == 0
        missing = 0 if line["blobs"] else len(content) - line["marked"] * BLOCK
        assert line["result"]["fetchedBytes"] <= max(missing, 0)
        check_clean(store, content)


@pytest.mark.parametrize("digest", ["unknown", "known"])
def test_two_pullers_of_one_blob_on_one_claim_fetch_it_once(
    site: Site, tmp_path: Path, weights: bytes, digest: str
) -> None:
    store = tmp_path / "store"
    store.mkdir()
    known = digest_of(weights) if digest == "known" else None
    second: list[Puller] = []
    held = threading.Event()

    def hold_first_until_second_waits(_path: str, offset: int) -> None:
        if offset > 0 and not held.is_set():
            wait_for(lambda: bool(second) and waits(second[0]), "the second puller's waiting")
            held.set()

    site.gate = hold_first_until_second_waits
    first = start(plan_of(site, "tiny", known), store, tmp_path)
    wait_for(lambda: len(site.requests) > 1, "the first puller's download")
    second.append(start(plan_of(site, "twin", known), store, tmp_path))
    results = [each.finished().result for each in (first, second[0])]
    assert held.is_set()
    assert [each.digest for each in results if each] == [digest_of(weights)] * 2
    assert [each.fetched_bytes for each in results if each] == [len(weights), 0]
    probes = sum(1 for _, asked in site.requests if asked == "bytes=0-0")
    assert site.sent == len(weights) + probes
    check_clean(store, weights)


def waits(puller: Puller) -> bool:
    """Tell whether the kernel has this process waiting for a lock."""
    waiting = [line for line in Path("/proc/locks").read_text().splitlines() if "->" in line]
    return any(f" {puller.process.pid} " in line for line in waiting)


def test_both_pullers_of_one_model_succeed(site: Site, tmp_path: Path, weights: bytes) -> None:
    store = tmp_path / "store"
    store.mkdir()
    pullers = [start(plan_of(site), store, tmp_path) for _ in range(3)]
    for puller in pullers:
        assert puller.finished().failure is None
    check_clean(store, weights)
