"""A page per kind says every field of its schema and no other, every condition and every reason."""

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from paddock.__main__ import COMMANDS
from paddock.api.crds import build_inference_pool_crd, build_local_model_crd
from paddock.api.inferencepool import EngineName, InferencePool, Serving
from paddock.api.reasons import ConditionType, Reason
from paddock.cli.exits import Exit
from paddock.plan.engines.registry import PROFILES
from paddock.status.summary import STALLING
from support.pages import DOCS, ROOT, table_fields, table_rows
from support.pools import fresh

PAGES = {"localmodel.md": build_local_model_crd, "inferencepool.md": build_inference_pool_crd}
HEADINGS = ["Example", "Writing", "Working with it", "Status"]
BOTH = {ConditionType.READY, ConditionType.RECONCILING, ConditionType.STALLED}
OF_MODELS = {ConditionType.PULLED, ConditionType.VERIFIED, ConditionType.UP_TO_DATE}


def leaves(schema: dict[str, Any], path: str) -> Iterator[str]:
    inner = schema.get("items", {})
    if schema.get("properties"):
        for name, child in schema["properties"].items():
            yield from leaves(child, f"{path}.{name}")
    elif inner.get("properties"):
        for name, child in inner["properties"].items():
            yield from leaves(child, f"{path}[].{name}")
    else:
        yield path


def schema_of(page: str, part: str) -> set[str]:
    crd: Any = PAGES[page]()
    schema = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
    return set(leaves(schema, part))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize(("part", "heading"), [("spec", "Writing"), ("status", "Status")])
def test_tables_name_every_field_and_no_other(page: str, part: str, heading: str) -> None:
    told = {field for field in table_fields(DOCS / page, heading) if field.startswith(f"{part}.")}
    known = schema_of(page, part)
    assert sorted(told - known) == [], "these are told, and are not in the schema"
    assert sorted(known - told) == [], "these are in the schema, and are not told"


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_one_order(page: str) -> None:
    lines = (DOCS / page).read_text().splitlines()
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == HEADINGS


def test_every_condition_is_in_its_table() -> None:
    of_models = {row[0].strip("`") for row in table_rows(DOCS / "localmodel.md", "Conditions")}
    of_pools = {row[0].strip("`") for row in table_rows(DOCS / "inferencepool.md", "Conditions")}
    assert of_models == BOTH | OF_MODELS
    assert of_pools == set(ConditionType) - OF_MODELS


def test_every_reason_is_told_once() -> None:
    rows = table_rows(DOCS / "reasons.md", "Reasons")
    told = [row[0].strip("`") for row in rows]
    assert sorted(told) == sorted(reason.value for reason in Reason)
    assert all(len(row) == 3 and all(row) for row in rows)
    patient = {Reason.SOURCE_UNREACHABLE, Reason.STORAGE_ERROR}
    stalls = {True: "yes", False: "no"}
    expected = {each.value: stalls[each in STALLING] for each in Reason}
    expected |= {each.value: "after the tries" for each in patient}
    assert {row[0].strip("`"): row[1] for row in rows} == expected


SAMPLES: dict[str, object] = {
    "context_length": 4096, "parallel": 2, "max_queue": 8, "batch_size": 512, "threads": 4,
    "gpu_layers": 99, "flash_attention": True, "kv_cache_type": "f16", "keep_alive": "5m",
    "mmap": True, "mlock": True, "tensor_parallel": 1, "gpu_memory_utilization": 0.9,
    "draft_model": "small",
}  # fmt: skip
CACHE_TYPES = {
    EngineName.OLLAMA: "q8_0", EngineName.LLAMA_CPP: "bf16", EngineName.VLLM: "fp8",
}  # fmt: skip


def honours(engine: EngineName, knob: str) -> bool:
    plain = fresh(engine, hardware={"gpus": 1}).pool.model_dump(by_alias=True, exclude_none=True)
    value = CACHE_TYPES[engine] if knob == "kv_cache_type" else SAMPLES[knob]
    alias = Serving.model_fields[knob].alias or knob
    plain["spec"]["serving"] = {alias: value}
    return PROFILES[engine].refuse(InferencePool.model_validate(plain), ()) == ()


def test_knobs_table_says_which_engine_honours_what() -> None:
    expected = {
        f"spec.serving.{Serving.model_fields[knob].alias or knob}": [
            "yes" if honours(engine, knob) else "no" for engine in EngineName
        ]
        for knob in Serving.model_fields
    }
    rows = table_rows(DOCS / "inferencepool.md", "Serving")
    assert {row[0].strip("`"): row[1:4] for row in rows} == expected


def test_committed_crds_are_what_the_pages_were_held_to() -> None:
    for page, build in PAGES.items():
        plural = f"{page.removesuffix('.md')}s"
        committed = yaml.safe_load((ROOT / "crds" / f"paddock.dev_{plural}.yaml").read_text())
        assert committed == build()


def test_command_line_page_has_every_command_and_every_exit_code() -> None:
    page = DOCS / "cli.md"
    told = " ".join(row[0] for row in table_rows(page, "Command line"))
    for_people = set(COMMANDS) - {"operator", "crds", "charts"}
    assert {name for name in for_people if f"`paddock {name}" not in told} == set()
    codes = {int(row[0]) for row in table_rows(page, "Exit codes")}
    assert codes == {int(each) for each in Exit}
