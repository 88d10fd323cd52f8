"""Finalizers are replaced only as they were when it was decided: somebody else's are never lost."""

from typing import Any, cast

import pytest

from paddock.api.base import ObjectMeta
from paddock.apply.finalizers import apply_finalizers
from paddock.errors import ConflictError
from paddock.kinds import LOCAL_MODELS
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from support.objects import metadata

OURS = "paddock.dev/blobs"
KNOWN = ObjectMeta.model_validate({**metadata("tiny"), "finalizers": [OURS]})


class Live:
    """A cluster of one LocalModel, or none, that remembers what it was asked to write."""

    def __init__(self, live: dict[str, Any] | None) -> None:
        self.live = live
        self.written: list[tuple[str, ...]] = []

    async def get(self, *_: object) -> Any:
        return None if self.live is None else {"metadata": self.live}

    async def patch_finalizers(self, _: object, __: object, wanted: tuple[str, ...]) -> Any:
        self.written.append(wanted)
        return {"metadata": {**metadata("tiny"), "resourceVersion": "9", "finalizers": wanted}}


async def applied(live: dict[str, Any] | None) -> tuple[Live, Cache]:
    subject, cache = Live(live), Cache([LOCAL_MODELS])
    await apply_finalizers(cast("Cluster", subject), cache, LOCAL_MODELS, KNOWN, ())
    return subject, cache


async def test_finalizer_is_taken_away_and_the_answer_known() -> None:
    subject, cache = await applied({**metadata("tiny"), "finalizers": [OURS]})
    assert subject.written == [()]
    known: Any = cache.get(LOCAL_MODELS, "team", "tiny")
    assert known["metadata"]["resourceVersion"] == "9"


async def test_object_that_is_gone_is_let_go() -> None:
    subject, _ = await applied(None)
    assert subject.written == []


@pytest.mark.parametrize(
    "change",
    [
        {"finalizers": [OURS, "somebody.example.com/else"]},
        {"finalizers": []},
        {"finalizers": [OURS], "uid": "another"},
    ],
)
async def test_object_that_is_not_what_was_decided_on_is_a_conflict(change: Any) -> None:
    subject, cache = (
        Live({**metadata("tiny"), "resourceVersion": "8", **change}),
        Cache([LOCAL_MODELS]),
    )
    with pytest.raises(ConflictError):
        await apply_finalizers(cast("Cluster", subject), cache, LOCAL_MODELS, KNOWN, ())
    assert subject.written == []
    known: Any = cache.get(LOCAL_MODELS, "team", "tiny")
    assert known["metadata"]["resourceVersion"] == "8"
