"""Weights that are already in the claim: into the store without network, the file left as it is."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from paddock.api.pull import PullPlan, PullReason, PullResult
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store, blob_name
from paddock.puller.upstream import ask_upstream
from support.hostile.headers import one, safetensors
from support.pull_process import start, tree
from support.tiny_model import write_tiny_model

pytestmark = pytest.mark.contract


def plan_of(path: str, **more: object) -> PullPlan:
    return PullPlan.model_validate({"model": "tiny", "source": f"pvc://c/{path}", **more})


def run(root: Path, path: str, **more: object) -> PullResult:
    return pull(plan_of(path, **more), Store(root), Meter())


def refusal(root: Path, path: str, **more: object) -> PullReason:
    with pytest.raises(PullError) as refused:
        run(root, path, **more)
    assert not (root / "models" / "tiny").exists()
    return refused.value.cause


@pytest.fixture
def claim(tmp_path: Path) -> Path:
    """Give a claim with one user's file in a folder of theirs."""
    (folder := tmp_path / "claim" / "mine").mkdir(parents=True)
    write_tiny_model(folder / "m.gguf").chmod(0o640)
    return tmp_path / "claim"


def digest_of(file: Path) -> str:
    return f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"


def test_file_of_the_claim_becomes_a_model_without_taking_its_room_again(claim: Path) -> None:
    own = claim / "mine" / "m.gguf"
    before, mode = digest_of(own), own.stat().st_mode
    used = shutil.disk_usage(claim).used
    result = run(claim, "mine/m.gguf")
    assert (result.digest, result.fetched_bytes) == (before, 0)
    assert result.architecture == "llama"
    blob = claim / "blobs" / blob_name(before)
    assert digest_of(blob) == before
    assert (claim / "models" / "tiny" / "m.gguf").resolve() == blob
    assert (claim / "manifests/registry.ollama.ai/library/tiny/latest").is_file()
    assert (digest_of(own), own.stat().st_mode) == (before, mode)
    same_file = blob.stat().st_ino == own.stat().st_ino
    assert same_file or shutil.disk_usage(claim).used - used < own.stat().st_size


def test_second_time_nothing_is_hashed_and_nothing_is_left(claim: Path) -> None:
    first = run(claim, "mine/m.gguf")
    held = tree(claim)
    assert run(claim, "mine/m.gguf", digest=first.digest) == first
    assert tree(claim) == held
    assert not [each for each in held if each.endswith((".part", ".new", ".lock", ".wanted"))]


def test_folder_gives_the_quantization_that_is_asked_for(claim: Path) -> None:
    write_tiny_model(claim / "mine" / "m-Q4_K_M.gguf", seed=1)
    write_tiny_model(claim / "mine" / "m-Q8_0.gguf", seed=2)
    result = run(claim, "mine", quantization="Q8_0")
    assert [file.name for file in result.files] == ["m-Q8_0.gguf"]
    assert result.digest == digest_of(claim / "mine" / "m-Q8_0.gguf")


def test_folder_of_safetensors_is_one_model(claim: Path) -> None:
    (folder := claim / "st").mkdir()
    (folder / "model.safetensors").write_bytes(safetensors(one(), 16))
    (folder / "config.json").write_text("{}")
    (folder / "notes.md").write_text("not the model's")
    result = run(claim, "st")
    assert result.format == "safetensors"
    assert sorted(file.name for file in result.files) == ["config.json", "model.safetensors"]
    assert (claim / "models" / "tiny" / "config.json").read_text() == "{}"


def test_cache_of_a_hub_with_its_links_is_read(claim: Path) -> None:
    (cache := claim / "hub" / "snapshots" / "abc").mkdir(parents=True)
    (claim / "hub" / "blobs").mkdir()
    (claim / "mine" / "m.gguf").rename(claim / "hub" / "blobs" / "f00")
    (cache / "weights.gguf").symlink_to("../../blobs/f00")
    assert [file.name for file in run(claim, "hub/snapshots/abc").files] == ["weights.gguf"]


def test_deleting_the_model_leaves_the_users_file(claim: Path) -> None:
    before = digest_of(claim / "mine" / "m.gguf")
    run(claim, "mine/m.gguf")
    Store(claim).remove("tiny")
    assert digest_of(claim / "mine" / "m.gguf") == before
    assert [name for name, what in tree(claim).items() if what != "folder"] == ["mine/m.gguf"]


def test_replaced_file_is_told_upstream_and_hashed_anew(claim: Path) -> None:
    plan = plan_of("mine/m.gguf")
    first = run(claim, "mine/m.gguf")
    assert ask_upstream(plan, claim).revision == first.revision
    (claim / "mine" / "m.gguf").unlink()
    write_tiny_model(claim / "mine" / "m.gguf", seed=9)
    assert ask_upstream(plan, claim).revision != first.revision
    with pytest.raises(PullError) as refused:
        run(claim, "mine/m.gguf", digest=first.digest)
    assert refused.value.cause is PullReason.DIGEST_MISMATCH
    assert run(claim, "mine/m.gguf").digest == digest_of(claim / "mine" / "m.gguf")


def test_what_is_not_there_or_no_model_is_refused(claim: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.gguf").write_bytes((claim / "mine" / "m.gguf").read_bytes())
    (claim / "out.gguf").symlink_to("../secret.gguf")
    (claim / "root").symlink_to("/")
    (claim / "loop.gguf").symlink_to("loop.gguf")
    (claim / "bad.gguf").write_bytes(b"GGUF" + b"\xff" * 64)
    (claim / "x.bin").write_bytes(b"MZ" + bytes(64))
    (claim / "only.json").write_text("{}")
    (claim / "empty").mkdir()
    os.mkfifo(claim / "pipe.gguf")
    expected = {
        "nowhere.gguf": PullReason.SOURCE_NOT_FOUND,
        "mine/m.gguf/x": PullReason.SOURCE_NOT_FOUND,
        "loop.gguf": PullReason.SOURCE_NOT_FOUND,
        "out.gguf": PullReason.SOURCE_FORBIDDEN,
        "root": PullReason.SOURCE_FORBIDDEN,
        "root/etc/passwd": PullReason.SOURCE_FORBIDDEN,
        "bad.gguf": PullReason.INVALID_ARTIFACT,
        "x.bin": PullReason.UNSUPPORTED_FORMAT,
        "only.json": PullReason.UNSUPPORTED_FORMAT,
        "empty": PullReason.UNSUPPORTED_FORMAT,
        "pipe.gguf": PullReason.SOURCE_REFUSED,
    }
    assert {path: refusal(claim, path) for path in expected} == expected
    assert not list((claim / "blobs").glob("sha256-*"))


@pytest.fixture
def small_claim(claim: Path, tmp_path: Path) -> Iterator[Path]:
    """Give a claim of 2 MiB that cannot link: the user's folder is a volume of its own."""
    if os.geteuid() != 0:
        pytest.skip("making a small volume needs root")
    place = tmp_path / "volume"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "volume", place], check=True)
    (place / "mine").mkdir()
    subprocess.run(["mount", "--bind", claim / "mine", place / "mine"], check=True)
    yield place
    subprocess.run(["umount", place / "mine"], check=True)
    subprocess.run(["umount", place], check=True)


def test_file_that_cannot_be_linked_is_copied_if_there_is_room(small_claim: Path) -> None:
    result = run(small_claim, "mine/m.gguf")
    blob = small_claim / "blobs" / blob_name(result.digest)
    assert digest_of(blob) == result.digest
    assert blob.stat().st_dev != (small_claim / "mine" / "m.gguf").stat().st_dev
    with (small_claim / "mine" / "m.gguf").open("ab") as stream:
        stream.write(os.urandom(3 << 20))
    plan = plan_of("mine/m.gguf")
    with pytest.raises(PullError) as refused:
        pull(plan.model_copy(update={"model": "other"}), Store(small_claim), Meter())
    assert refused.value.cause is PullReason.INSUFFICIENT_STORAGE


def test_program_of_the_job_imports_and_asks(claim: Path, tmp_path: Path) -> None:
    report = start(plan_of("mine/m.gguf"), claim, tmp_path).finished()
    assert report.result is not None
    asked = start(plan_of("mine/m.gguf"), claim, tmp_path, "check").finished()
    assert asked.upstream is not None
    assert asked.upstream.revision == report.result.revision
