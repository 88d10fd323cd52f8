"""A wait: what it says of the model and of the pool, and when it ends."""

import pytest

from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel, Progress
from paddock.cli.moments import End, Moment, StallWatch, moment_of, progress_words
from support.pools import DIGEST, fresh, settled, status_of
from support.stores import ready_model


def pool_with(**status: object) -> InferencePool:
    return fresh().pool.model_copy(update=status)


def told(settle: bool = True) -> InferencePool:  # noqa: FBT001, FBT002 - a test's own switch
    facts = settled(fresh()) if settle else fresh()
    return pool_with(status=status_of(facts))


def pulling(**progress: int) -> LocalModel:
    ready = ready_model("alpha", DIGEST)
    status = ready.status.model_copy(
        update={"conditions": (), "progress": Progress(**progress), "artifact": None}
    )
    return ready.model_copy(update={"status": status})


def test_pull_is_told_before_the_pool() -> None:
    model = pulling(bytes=400, total_bytes=1000, percent=40)
    moment = moment_of(model, told())
    assert (moment.subject, moment.words, moment.end) == (
        "model/alpha", "pulling 40 %, 400 B of 1.0 KB", None,
    )  # fmt: skip


def test_pulled_model_ends_a_pull_and_says_what_it_is() -> None:
    assert moment_of(ready_model("alpha", DIGEST, quantization="Q8_0"), None) == Moment(
        "model/alpha", "pulled and verified: 4.0 GB, Q8_0, aaaaaaaaaaaa", end=End.READY
    )


def test_ready_pool_ends_a_run() -> None:
    moment = moment_of(ready_model("alpha", DIGEST), told())
    assert (moment.subject, moment.end) == ("pool/chat", End.READY)


def test_pool_on_its_way_says_its_own_words() -> None:
    moment = moment_of(ready_model("alpha", DIGEST), told(settle=False))
    assert moment.end is None
    assert moment.words == "The replicas' pods are being made."


def test_verdict_about_an_older_spec_does_not_count() -> None:
    old = told()
    edited = old.model_copy(update={"metadata": old.metadata.model_copy(update={"generation": 2})})
    assert moment_of(ready_model("alpha", DIGEST), edited).words == "waiting for the operator"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({"bytes": 0}, "pulling 0 B"),
        (
            {
                "bytes": 10**9, "total_bytes": 4 * 10**9, "percent": 25,
                "bytes_per_second": 10**8, "eta_seconds": 30,
            },
            "pulling 25 %, 1.0 GB of 4.0 GB, 100 MB/s, 30 s left",
        ),
    ],
)  # fmt: skip
def test_pull_says_all_that_is_known(progress: dict[str, int], words: str) -> None:
    assert progress_words(Progress.model_validate(progress)) == words


def test_stall_must_last_to_end_the_wait() -> None:
    watch = StallWatch(10)
    stalled, fine = Moment("a", "bad", end=End.STALLED), Moment("a", "on the way")
    seen = [(stalled, 0), (stalled, 9), (fine, 9.5), (stalled, 10), (stalled, 19), (stalled, 20)]
    assert [watch.has_ended(moment, now) for moment, now in seen] == [False] * 5 + [True]


def test_ready_ends_the_wait_at_once() -> None:
    assert StallWatch(10).has_ended(Moment("a", "fine", end=End.READY), 0)
