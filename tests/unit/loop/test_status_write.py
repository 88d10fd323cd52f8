"""The answer to a status write: known at once, unless it brings a request that no pass has seen."""

from typing import Any, cast

import pytest

from paddock import names
from paddock.api.base import ObjectMeta
from paddock.api.localmodel import LocalModelStatus
from paddock.apply.status import write_status
from paddock.kinds import LOCAL_MODELS
from paddock.kube.cache import Cache
from paddock.kube.cluster import Cluster
from support.objects import metadata

BEFORE = {"example.com/owner": "team"}
KNOWN = ObjectMeta.model_validate({**metadata("tiny"), "annotations": BEFORE})


class Live:
    """A cluster of one LocalModel that a user annotates while a status is written."""

    def __init__(self, annotations: dict[str, str]) -> None:
        self.annotations, self.writes = annotations, 0

    async def apply_status(self, *_: object) -> Any:
        self.writes += 1
        return {
            "metadata": {
                **metadata("tiny"), "resourceVersion": "9", "annotations": self.annotations,
            }
        }  # fmt: skip


async def written(live: Live, after: LocalModelStatus) -> tuple[bool, Any]:
    cache = Cache([LOCAL_MODELS])
    told = await write_status(
        cast("Cluster", live), cache, LOCAL_MODELS, KNOWN, before=LocalModelStatus(), after=after
    )
    return told, cache.get(LOCAL_MODELS, "team", "tiny")


@pytest.mark.parametrize(
    ("annotations", "known"),
    [
        (BEFORE, True),
        ({**BEFORE, "kubectl.kubernetes.io/last-applied-configuration": "{}"}, True),
        ({"example.com/owner": "other"}, True),
        ({**BEFORE, names.RETRY_ANNOTATION: "now"}, False),
    ],
)
async def test_answer_with_a_request_that_came_meanwhile_is_left_to_the_watch(
    annotations: dict[str, str], *, known: bool
) -> None:
    told, found = await written(Live(annotations), LocalModelStatus(claim_name="tiny-weights"))

    assert told
    assert (found is not None) == known


async def test_same_status_is_not_written() -> None:
    live = Live(BEFORE)

    assert await written(live, LocalModelStatus()) == (False, None)
    assert live.writes == 0
