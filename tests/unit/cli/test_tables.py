"""Tables of models and pools: the text is the same on a terminal and in a pipe."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from paddock.api.inferencepool import EngineName, InferencePool
from paddock.api.localmodel import LocalModel
from paddock.cli.paint import Tone, Word, table_lines, text_of
from paddock.cli.tables import loaded_table, models_table, pools_table
from support.golden import check_golden_text
from support.objects import model
from support.pools import DIGEST, OTHER_DIGEST, fresh, homeless_pod, settled, status_of
from support.stores import ready_model

GOLDEN = Path(__file__).with_name("golden")
NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def told(pool: InferencePool, status: object) -> InferencePool:
    return pool.model_copy(update={"status": status})


def serving_pool() -> InferencePool:
    known = (ready_model("alpha", DIGEST), ready_model("beta", OTHER_DIGEST))
    facts = settled(
        fresh(
            EngineName.OLLAMA, known=known, replicas=2,
            models=[{"name": "alpha"}, {"name": "beta", "as": "beta:7b", "preload": False}],
        )
    )  # fmt: skip
    return told(facts.pool, status_of(facts))


def stalled_pool() -> InferencePool:
    facts = replace(settled(fresh()), pods=(homeless_pod("0/3 nodes: 3 Insufficient cpu."),))
    facts = replace(facts, deployment=replace(facts.deployment, ready=0))  # type: ignore[type-var]  # it is there
    return told(facts.pool, status_of(facts))


def test_models_in_every_state() -> None:
    pulling = LocalModel.model_validate(
        {
            **model("pulling").model_dump(by_alias=True, exclude_none=True),
            "status": {"progress": {"bytes": 400, "totalBytes": 1000, "percent": 40}},
        }
    )
    aged = ready_model(
        "ready", DIGEST, quantization="Q4_K_M", architecture="gemma3", size=253_113_024
    )
    aged = aged.model_copy(
        update={
            "metadata": aged.metadata.model_copy(
                update={"creation_timestamp": "2026-01-01T11:15:00Z"}
            ),
            "status": aged.status.model_copy(update={"used_by": ("chat", "code")}),
        }
    )
    table = models_table([aged, pulling, model("unseen")], NOW)
    check_golden_text(GOLDEN / "models.txt", text_of(table))


def test_pools_in_every_state() -> None:
    table = pools_table([serving_pool(), stalled_pool(), fresh().pool], NOW, with_namespace=True)
    check_golden_text(GOLDEN / "pools.txt", text_of(table))


def test_loaded_models_of_pools() -> None:
    check_golden_text(
        GOLDEN / "loaded.txt", text_of(loaded_table([serving_pool(), stalled_pool()]))
    )


def test_tones_say_what_is_well() -> None:
    rows = pools_table([serving_pool(), stalled_pool(), fresh().pool], NOW)[1:]
    assert [row[2].tone for row in rows] == [Tone.GOOD, Tone.BAD, Tone.WAITING]


def test_empty_cells_are_dashes_and_columns_are_as_wide_as_the_widest() -> None:
    lines = table_lines(["A", "B"], [["long", None], ["", Word("x", Tone.GOOD)]])
    assert text_of(lines) == "A      B\nlong   -\n-      x"
