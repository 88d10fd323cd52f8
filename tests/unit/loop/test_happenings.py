"""Which changes of conditions are told as events, and in which words."""

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from paddock.api.base import Condition, ObjectMeta
from paddock.apply.events import build_event
from paddock.kinds import LOCAL_MODELS
from paddock.status.happenings import LONGEST, NORMAL, WARNING, Happening, fitted, happening

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def condition(
    kind: str, status: Literal["True", "False", "Unknown"], reason: str, message: str = "Words."
) -> Condition:
    return Condition(
        type=kind,
        status=status,
        reason=reason,
        message=message,
        last_transition_time="2026-11-21T12:00:00Z",
        observed_generation=1,
    )


PULLING = (
    condition("Ready", "False", "Pulling"),
    condition("Reconciling", "True", "Pulling"),
    condition("Pulled", "False", "Pulling"),
)
READY = (
    condition("Ready", "True", "Ready", "Verified."),
    condition("Pulled", "True", "Pulled", "All is there."),
)
STALLED = (
    condition("Ready", "False", "SourceNotFound"),
    condition("Stalled", "True", "SourceNotFound", "There is no such file."),
    condition("Pulled", "False", "SourceNotFound"),
)
REFUSED = (*STALLED[:1], condition("Stalled", "True", "InvalidSpec", "It cannot be."), STALLED[2])
CHANGED = (*READY, condition("UpToDate", "False", "UpstreamChanged", "Other bytes."))
SERVING = (
    condition("Ready", "True", "Ready", "All serve."),
    condition("ModelVerified", "True", "ModelAnswered", "All answered."),
)
CASES: list[tuple[str, Any, Any, Happening | None]] = [
    ("nothing is new", READY, READY, None),
    ("work begins", (), PULLING, None),
    ("pulled", PULLING, READY, Happening(NORMAL, "Pulled", "All is there. Verified.")),
    ("stalled", PULLING, STALLED, Happening(WARNING, "SourceNotFound", "There is no such file.")),
    ("still stalled", STALLED, STALLED, None),
    ("stalled otherwise", STALLED, REFUSED, Happening(WARNING, "InvalidSpec", "It cannot be.")),
    ("recovers", STALLED, PULLING, None),
    ("upstream", READY, CHANGED, Happening(WARNING, "UpstreamChanged", "Other bytes.")),
    ("still upstream", CHANGED, CHANGED, None),
    ("a pool serves", (), SERVING, Happening(NORMAL, "Ready", "All serve.")),
    (
        "verified on the way to Ready",
        (condition("Ready", "False", "Progressing"), SERVING[1]),
        SERVING,
        Happening(NORMAL, "Ready", "All serve."),
    ),
    ("not told before Ready", (), (condition("Ready", "False", "Progressing"), SERVING[1]), None),
]


@pytest.mark.parametrize(
    ("name", "before", "after", "told"), CASES, ids=[each[0] for each in CASES]
)
def test_change_of_conditions_is_told_once(
    name: str, before: Any, after: Any, told: Happening | None
) -> None:
    del name
    assert happening(before, after) == told


@pytest.mark.parametrize("words", ["word " * 400, "x" * 5000, "é" * 2000, "short."])
def test_note_fits_what_the_api_keeps(words: str) -> None:
    assert 0 < len(fitted(words)) <= LONGEST


def test_note_holds_no_credentials() -> None:
    note = fitted("GET https://me:secret@host/file?X-Amz-Signature=abc&other=1 failed.")
    assert "secret" not in note
    assert "abc" not in note


def test_same_telling_counts_up_under_one_name() -> None:
    metadata = ObjectMeta(name="m" * 253, namespace="team", uid="uid-m")
    told = Happening(WARNING, "SourceNotFound", "There is no such file.")
    first: Any = build_event(LOCAL_MODELS, metadata, told, None, NOW)
    later = datetime(2026, 11, 21, 13, 0, tzinfo=UTC)
    second: Any = build_event(LOCAL_MODELS, metadata, told, first, later)
    assert (first["count"], second["count"]) == (1, 2)
    assert second["firstTimestamp"] == first["firstTimestamp"] == "2026-11-21T12:00:00Z"
    assert second["lastTimestamp"] == "2026-11-21T13:00:00Z"
    assert second["metadata"] == first["metadata"]
    assert len(first["metadata"]["name"]) <= 253
    other: Any = build_event(LOCAL_MODELS, metadata, Happening(WARNING, "X", "Y."), None, NOW)
    assert other["metadata"]["name"] != first["metadata"]["name"]
