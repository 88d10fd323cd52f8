"""Pulls from a real server that misbehaves: a final name exists only when its digest is right."""

import hashlib
import itertools
from pathlib import Path

import pytest

from paddock.api.pull import Access, PullPlan, PullReason, PullResult
from paddock.puller import retry
from paddock.puller.journal import BLOCK
from paddock.puller.meter import Meter
from paddock.puller.problems import PullError
from paddock.puller.pull import pull
from paddock.puller.store import Store, blob_name
from paddock.puller.upstream import ask_upstream
from support.web_server import Site, serving

pytestmark = pytest.mark.contract
LOOPBACK = Access(cidrs=("127.0.0.0/8",), http=True)


@pytest.fixture(autouse=True)
def quick_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the number of tries, shorten only the waits between them."""
    monkeypatch.setattr(retry, "_backoff", lambda _state: 0.001)


def run(site: Site, folder: Path, *, path: str = "/m.gguf", **more: object) -> PullResult:
    plan = PullPlan.model_validate(
        {"model": "tiny", "source": f"{site.url}{path}", "access": LOOPBACK, **more}
    )
    return pull(plan, Store(folder), Meter())


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def blobs(folder: Path) -> list[str]:
    return sorted(each.name for each in (folder / "blobs").glob("sha256-*"))


def check_store(folder: Path) -> None:
    """Every final name holds exactly its digest, and no half file has one."""
    for blob in (folder / "blobs").glob("sha256-*"):
        assert blob.name == blob_name(digest_of(blob.read_bytes()))


def failure(site: Site, folder: Path, **more: object) -> PullError:
    with pytest.raises(PullError) as failed:
        run(site, folder, **more)
    check_store(folder)
    assert not (folder / "models" / "tiny").exists()
    return failed.value


def test_whole_file_arrives_once_over_many_connections(
    site: Site, tmp_path: Path, weights: bytes
) -> None:
    result = run(site, tmp_path)
    assert result.digest == digest_of(weights)
    assert result.architecture == "llama"
    check_store(tmp_path)
    view = tmp_path / "models" / "tiny" / "m.gguf"
    assert view.resolve() == tmp_path / "blobs" / blob_name(result.digest)
    assert str(view.readlink()).startswith("../../blobs/")
    assert result.fetched_bytes == len(weights)
    assert not list((tmp_path / "blobs" / "partial").glob("*.part"))


def test_second_pull_of_known_bytes_fetches_nothing(site: Site, tmp_path: Path) -> None:
    first = run(site, tmp_path)
    sent = site.sent
    second = run(site, tmp_path, digest=first.digest)
    assert second.fetched_bytes == 0
    assert site.sent == sent


@pytest.mark.parametrize("cut", [0, 1, 4096, BLOCK, BLOCK + 1, 2 * BLOCK + 5])
def test_connection_cut_at_any_byte_is_resumed(site: Site, tmp_path: Path, cut: int) -> None:
    cuts = itertools.count()
    site.cut_after = lambda _path, count: cut if count > 1 and next(cuts) < 3 else None
    result = run(site, tmp_path, parallelism=2)
    check_store(tmp_path)
    assert blob_name(result.digest) in blobs(tmp_path)
    assert site.sent <= result.bytes + 1 + 3 * max(cut, BLOCK)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_passing_refusal_is_tried_again(site: Site, tmp_path: Path, status: int) -> None:
    site.headers = {"Retry-After": "0"}
    site.answers = lambda _path, _range, count: status if count in (1, 3) else None
    run(site, tmp_path)
    check_store(tmp_path)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, PullReason.SOURCE_UNAUTHORIZED),
        (403, PullReason.SOURCE_UNAUTHORIZED),
        (404, PullReason.SOURCE_NOT_FOUND),
        (410, PullReason.SOURCE_NOT_FOUND),
        (418, PullReason.SOURCE_REFUSED),
    ],
)
def test_final_refusal_surfaces_at_once(
    site: Site, tmp_path: Path, status: int, reason: PullReason
) -> None:
    site.answers = lambda *_: status
    assert failure(site, tmp_path).cause == reason
    assert len(site.requests) == 1


def test_source_that_never_answers_well_is_unreachable(site: Site, tmp_path: Path) -> None:
    site.answers = lambda *_: 503
    error = failure(site, tmp_path)
    assert error.cause == PullReason.SOURCE_UNREACHABLE
    assert error.failure.retry
    assert len(site.requests) == retry.ATTEMPTS


def test_wrong_digest_is_tried_three_times_and_thrown_away(site: Site, tmp_path: Path) -> None:
    error = failure(site, tmp_path, digest="sha256:" + "0" * 64)
    assert error.cause == PullReason.DIGEST_MISMATCH
    assert blobs(tmp_path) == []
    assert not list((tmp_path / "blobs" / "partial").glob("*.part"))
    assert sum(1 for _, asked in site.requests if asked == "bytes=0-0") == 3


def test_server_that_ignores_ranges_is_read_in_one_stream(
    site: Site, tmp_path: Path, weights: bytes
) -> None:
    site.ranges = False
    assert run(site, tmp_path).digest == digest_of(weights)


def test_file_that_changes_between_requests_is_begun_anew_and_never_spliced(
    site: Site, tmp_path: Path, weights: bytes
) -> None:
    other = weights[:-1] + bytes([weights[-1] ^ 1])

    def change(path: str, count: int) -> None:
        if count == 3:
            site.files[path] = other

    site.cut_after = change
    assert run(site, tmp_path, parallelism=1).digest == digest_of(other)
    check_store(tmp_path)


def test_lying_size_is_refused(site: Site, tmp_path: Path, weights: bytes) -> None:
    site.claimed_size = len(weights) + 4096
    failure(site, tmp_path)
    assert blobs(tmp_path) == []


def test_file_that_is_no_model_is_refused_and_not_kept(site: Site, tmp_path: Path) -> None:
    site.files["/x.bin"] = b"MZ" + bytes(4096)
    assert failure(site, tmp_path, path="/x.bin").cause == PullReason.UNSUPPORTED_FORMAT
    site.files["/x.gguf"] = b"GGUF" + b"\xff" * 4096
    assert failure(site, tmp_path, path="/x.gguf").cause == PullReason.INVALID_ARTIFACT
    assert blobs(tmp_path) == []


def test_empty_file_is_refused(site: Site, tmp_path: Path) -> None:
    site.files["/x.gguf"] = b""
    failure(site, tmp_path, path="/x.gguf")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("http://169.254.169.254/latest/x.gguf", PullReason.SOURCE_FORBIDDEN),
        ("http://10.0.0.1/x.gguf", PullReason.SOURCE_FORBIDDEN),
        ("http://[::1]:1/x.gguf", PullReason.SOURCE_FORBIDDEN),
        ("http://[::ffff:10.0.0.1]/x.gguf", PullReason.SOURCE_FORBIDDEN),
        ("http://0.0.0.0/x.gguf", PullReason.SOURCE_FORBIDDEN),
        ("ftp://127.0.0.1/x.gguf", PullReason.SOURCE_FORBIDDEN),
        ("file:///etc/passwd", PullReason.SOURCE_FORBIDDEN),
        ("gopher://127.0.0.1/", PullReason.SOURCE_FORBIDDEN),
        ("http://127.0.0.1:99999/x.gguf", PullReason.SOURCE_REFUSED),
    ],
)
def test_redirect_to_a_forbidden_place_is_refused(
    site: Site, tmp_path: Path, target: str, reason: PullReason
) -> None:
    site.headers = {"Location": target}
    site.answers = lambda *_: 302
    assert failure(site, tmp_path).cause == reason
    assert len(site.requests) == 1


def test_redirect_loop_ends_after_five(site: Site, tmp_path: Path) -> None:
    site.headers = {"Location": "/m.gguf"}
    site.answers = lambda *_: 302
    assert failure(site, tmp_path).cause == PullReason.SOURCE_REFUSED
    assert len(site.requests) == 6


def test_planted_link_in_the_store_is_not_followed(site: Site, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    store = tmp_path / "store"
    store.mkdir()
    (store / "models").symlink_to(outside)
    with pytest.raises(PullError) as refused:
        run(site, store)
    assert refused.value.cause == PullReason.STORAGE_ERROR
    assert list(outside.iterdir()) == []


def test_deleting_one_model_frees_only_what_no_other_uses(site: Site, tmp_path: Path) -> None:
    run(site, tmp_path)
    plan = PullPlan(model="twin", source=f"{site.url}/m.gguf", access=LOOPBACK)
    pull(plan, Store(tmp_path), Meter())
    before = blobs(tmp_path)
    assert Store(tmp_path).remove("tiny") == 0
    assert blobs(tmp_path) == before
    assert Store(tmp_path).remove("twin") > 0
    assert blobs(tmp_path) == []


def test_source_is_asked_for_its_version_without_fetching_it(
    site: Site, tmp_path: Path, weights: bytes
) -> None:
    plan = PullPlan(model="tiny", source=f"{site.url}/m.gguf", access=LOOPBACK)
    pulled = run(site, tmp_path)
    with serving(Site(files={"/m.gguf": weights})) as unread:
        elsewhere = plan.model_copy(update={"source": f"{unread.url}/m.gguf"})
        assert ask_upstream(elsewhere, tmp_path).revision == pulled.revision
        assert unread.sent == 1
    site.files["/m.gguf"] = weights + b"x"
    assert ask_upstream(plan, tmp_path).revision != pulled.revision
