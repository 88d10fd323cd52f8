"""Volumes that are full, read-only or full of traps: a reason, and nothing outside them."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paddock.api.pull import (
    PLAN_VARIABLE,
    REPORT_FILE_VARIABLE,
    Access,
    PullPlan,
    PullReason,
    PullReport,
)
from paddock.puller.__main__ import main
from paddock.puller.journal import BLOCK
from support.pull_process import start, tree
from support.tiny_model import write_tiny_model
from support.web_server import Site, serving

pytestmark = pytest.mark.contract
LOOPBACK = Access(cidrs=("127.0.0.0/8",), http=True)
NAME = "m.gguf"
Run = Callable[..., PullReport]
Volume = Callable[[str], Path]
needs_mounts = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("mount") is None, reason="making a small volume needs root"
)


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    file = write_tiny_model(tmp_path_factory.mktemp("storage") / NAME)
    return file.read_bytes() + os.urandom(12 * BLOCK + 77)


@pytest.fixture
def site(weights: bytes) -> Iterator[Site]:
    with serving(Site(files={f"/{NAME}": weights})) as site:
        yield site


@pytest.fixture
def volume(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Give a maker of one small real volume; it is unmounted after the test."""
    place = tmp_path / "volume"
    place.mkdir()

    def make(options: str) -> Path:
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "volume", place], check=True)
        return place

    yield make
    if place.is_mount():
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def report_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "report"
    monkeypatch.setenv(REPORT_FILE_VARIABLE, str(file))
    return file


@pytest.fixture
def pulled(
    site: Site, report_file: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., PullReport]:
    """Give the pull Job's program, run in this process."""

    def run(store: Path, model: str = "tiny", *arguments: str) -> PullReport:
        monkeypatch.setenv(PLAN_VARIABLE, plan_of(site, model).model_dump_json(by_alias=True))
        report_file.write_text("{}")
        main([*arguments], store, port=0)
        return PullReport.model_validate_json(report_file.read_text())

    return run


def plan_of(site: Site, model: str = "tiny") -> PullPlan:
    return PullPlan(model=model, source=f"{site.url}/{NAME}", parallelism=2, access=LOOPBACK)


def refusal(report: PullReport) -> tuple[PullReason, bool]:
    assert report.failure is not None
    return report.failure.reason, report.failure.retry


def fill(volume: Path) -> Path:
    """Leave no byte free."""
    filler = volume / "filler"
    handle = os.open(filler, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    with os.fdopen(handle, "wb", buffering=0) as stream:
        for size in (1 << 20, 4096):
            with contextlib.suppress(OSError):
                while True:
                    stream.write(bytes(size))
    return filler


@needs_mounts
def test_too_small_volume_is_refused_before_a_byte_is_fetched(
    site: Site, volume: Volume, pulled: Run, weights: bytes
) -> None:
    store = volume("size=2m")
    report = pulled(store)
    assert refusal(report) == (PullReason.INSUFFICIENT_STORAGE, True)
    assert report.failure is not None
    assert "bytes free" in report.failure.message
    assert site.sent == 1
    subprocess.run(["mount", "-o", "remount,size=16m", store], check=True)
    again = pulled(store)
    assert again.result is not None
    assert again.result.bytes == len(weights)


@needs_mounts
def test_volume_that_becomes_full_loses_only_our_own_unfinished_file(
    site: Site, volume: Volume, pulled: Run
) -> None:
    store = volume("size=8m")
    (store / "blobs" / "partial").mkdir(parents=True)
    others = store / "blobs" / "partial" / "another.part"
    others.write_bytes(b"of another model")
    site.gate = lambda _path, offset: fill(store) and None if offset >= BLOCK else None
    report = pulled(store)
    assert refusal(report) == (PullReason.INSUFFICIENT_STORAGE, True)
    left = [name for name in tree(store) if name.startswith("blobs/") and name.count("/") > 1]
    assert left == ["blobs/partial/another.part"]
    (store / "filler").unlink()
    site.gate = lambda _path, _offset: None
    assert pulled(store).failure is None
    assert others.read_bytes() == b"of another model"


@needs_mounts
def test_volume_with_no_room_for_the_journal_is_full_and_not_a_crash(
    site: Site, volume: Volume, tmp_path: Path
) -> None:
    store = volume("size=8m")
    site.gate = lambda _path, _offset: fill(store) and None
    report = start(plan_of(site), store, tmp_path).finished()
    assert refusal(report)[0] is PullReason.INSUFFICIENT_STORAGE


@needs_mounts
@pytest.mark.parametrize("inodes", [2, 4, 7, 9, 10, 11, 12, 13, 15])
def test_volume_without_inodes_is_full(volume: Volume, pulled: Run, inodes: int) -> None:
    store = volume(f"size=16m,nr_inodes={inodes}")
    assert refusal(pulled(store))[0] is PullReason.INSUFFICIENT_STORAGE
    subprocess.run(["mount", "-o", "remount,nr_inodes=1k", store], check=True)
    assert pulled(store).failure is None
    assert not [name for name in tree(store) if name.endswith((".part", ".marks", ".new"))]


@needs_mounts
def test_read_only_volume_is_a_storage_error(site: Site, volume: Volume, pulled: Run) -> None:
    store = volume("size=16m")
    for _ in ("empty", "with its folders"):
        subprocess.run(["mount", "-o", "remount,ro", store], check=True)
        report = pulled(store)
        assert refusal(report) == (PullReason.STORAGE_ERROR, True)
        assert report.failure is not None
        assert "Read-only" in report.failure.message
        subprocess.run(["mount", "-o", "remount,rw", store], check=True)
        pulled(store)
        site.files[f"/{NAME}"] += b"changed"


FOLDERS = (
    "blobs",
    "blobs/partial",
    "manifests",
    "manifests/registry.ollama.ai",
    "manifests/registry.ollama.ai/library",
    "manifests/registry.ollama.ai/library/tiny",
    "models",
    "models/tiny",
)
MANIFEST = "manifests/registry.ollama.ai/library/tiny/latest"


@pytest.mark.parametrize("kind", ["link", "file", "pipe"])
@pytest.mark.parametrize("folder", FOLDERS)
def test_store_folder_that_is_no_folder_is_refused(
    pulled: Run, tmp_path: Path, folder: str, kind: str
) -> None:
    store, outside = store_and_outside(tmp_path)
    plant(store / folder, kind, outside)
    assert refusal(pulled(store))[0] is PullReason.STORAGE_ERROR
    assert tree(outside) == {"secret": tree(outside)["secret"]}


TRAPS = (
    "models/tiny/m.gguf",
    "models/tiny/.paddock.json",
    "models/tiny/other",
    MANIFEST,
)


@pytest.mark.parametrize("kind", ["link", "link to file", "file", "folder", "pipe"])
@pytest.mark.parametrize("place", TRAPS)
def test_trap_in_place_of_a_file_is_replaced_or_told_and_never_followed(
    pulled: Run, tmp_path: Path, place: str, kind: str
) -> None:
    store, outside = store_and_outside(tmp_path)
    plant(store / place, kind, outside)
    before = tree(outside)
    report = pulled(store)
    assert tree(outside) == before
    if report.failure is not None:
        assert report.failure.reason is PullReason.STORAGE_ERROR
    else:
        assert (store / "models/tiny/m.gguf").resolve().parent == store / "blobs"
        assert "models/tiny/other" not in tree(store)


@pytest.mark.parametrize("kind", ["link", "link to file", "folder", "pipe"])
@pytest.mark.parametrize("suffix", ["blob", ".part", ".marks", ".lock", ".version", ".wanted"])
def test_trap_in_place_of_our_own_files_is_not_followed(
    site: Site, pulled: Run, tmp_path: Path, suffix: str, kind: str
) -> None:
    store, outside = store_and_outside(tmp_path)
    for place in own_files(site, pulled, store, suffix):
        plant(place, kind, outside)
    before = tree(outside)
    report = pulled(store)
    assert tree(outside) == before
    if report.failure is not None:
        assert report.failure.reason is PullReason.STORAGE_ERROR
    else:
        assert (store / "models/tiny/m.gguf").resolve().parent == store / "blobs"


def own_files(site: Site, pulled: Run, store: Path, suffix: str) -> list[Path]:
    """Return the places a pull of this site uses, told by a pull that is cut off."""
    content = site.files[f"/{NAME}"]
    seen: set[Path] = set()

    def look(_path: str, _offset: int) -> None:
        seen.update((store / "blobs" / "partial").iterdir())

    site.gate = look
    assert pulled(store).failure is None
    site.gate = lambda _path, _offset: None
    seen.update((store / "blobs" / "partial").iterdir())
    blobs = list((store / "blobs").glob("sha256-*"))
    notes = [file.with_suffix(".wanted") for file in seen][:1]
    shutil.rmtree(store)
    store.mkdir()
    assert content == site.files[f"/{NAME}"]
    if suffix == "blob":
        return blobs
    return notes if suffix == ".wanted" else [file for file in seen if file.suffix == suffix]


def store_and_outside(folder: Path) -> tuple[Path, Path]:
    store, outside = folder / "store", folder / "outside"
    store.mkdir()
    outside.mkdir()
    (outside / "secret").write_bytes(b"not the puller's")
    return store, outside


def plant(place: Path, kind: str, outside: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    match kind:
        case "link":
            place.symlink_to(outside)
        case "link to file":
            place.symlink_to(outside / "secret")
        case "file":
            place.write_bytes(b"no record")
        case "folder":
            (place / "inner").mkdir(parents=True)
        case _:
            os.mkfifo(place)


def test_damaged_record_of_another_model_frees_nothing(pulled: Run, tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for model in ("tiny", "twin"):
        assert pulled(store, model).failure is None
    before = blobs(store)
    (store / "models" / "twin" / ".paddock.json").write_text('{"blobs": 7}')
    assert refusal(pulled(store, "tiny", "delete", "tiny"))[0] is PullReason.STORAGE_ERROR
    assert blobs(store) == before


def blobs(store: Path) -> list[str]:
    return [name for name in tree(store) if name.startswith("blobs/sha256")]


def test_deleting_a_model_whose_pull_never_ended_frees_what_had_arrived(
    pulled: Run, tmp_path: Path
) -> None:
    store = tmp_path / "store"
    (store / "models").mkdir(parents=True)
    (store / "models" / "tiny").write_bytes(b"in the way")
    assert pulled(store).failure is not None
    assert blobs(store)
    (store / "models" / "tiny").unlink()
    assert pulled(store, "tiny", "delete", "tiny").failure is None
    assert not [name for name, what in tree(store).items() if what != "folder"]
