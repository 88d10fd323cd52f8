"""The troubleshooting page is written from the statuses' words: PADDOCK_GOLDEN=write does it."""

import ast
import os
from collections.abc import Iterator

from paddock.api.reasons import Reason
from support.pages import DOCS, ROOT, blocks
from support.troubles import troubles

PAGE = DOCS / "troubleshooting.md"
MARK = "<!-- below: written by tests/unit/docs/test_troubleshooting.py -->\n"
STATUS = ROOT / "operator" / "paddock" / "status"
EXPLAINED = ROOT / "tests" / "unit" / "cli" / "golden" / "tree-unauthorized.txt"
OWN_PAGE = {Reason.MODEL_STALLED}
"""Told by the model's own diagnosis."""


def written() -> str:
    """Return the tables: a section for each reason, in their own order."""
    rows: dict[str, list[str]] = {}
    for trouble in troubles():
        row = f"| {_cell(trouble.cause)} | {_cell(trouble.fix)} |"
        known = rows.setdefault(trouble.reason, [])
        if row not in known:
            known.append(row)
    sections = [
        f"\n## {reason.value}\n\n| it says | what to do |\n| --- | --- |\n"
        + "\n".join(rows[reason])
        for reason in Reason
        if reason in rows
    ]
    return "\n".join(sections) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def test_page_is_what_the_statuses_say() -> None:
    head, mark, tables = PAGE.read_text().partition(MARK)
    assert mark
    if os.environ.get("PADDOCK_GOLDEN") == "write":
        PAGE.write_text(head + MARK + written())
        tables = written()
    assert tables == written(), "run this test with PADDOCK_GOLDEN=write, and look at the page"


def test_shown_tree_is_the_one_that_explain_prints() -> None:
    (shown,) = [each.text for each in blocks("text") if each.file == PAGE]
    for theirs, ours in (("qwen-pull-6d1f0c7a52", "tiny-pull-1"), ("Pool/qwen", "Pool/chat")):
        shown = shown.replace(theirs, ours)
    assert shown.replace("qwen", "tiny").rstrip() == EXPLAINED.read_text()


def test_every_reason_of_a_diagnosis_is_in_the_page() -> None:
    told = {line.removeprefix("## ") for line in PAGE.read_text().splitlines()}
    assert {reason.value for reason in _reasons_in_code() - OWN_PAGE} - told == set()


def test_every_way_out_is_in_the_page() -> None:
    page = PAGE.read_text()
    assert [fix for fix in _fixes_in_code() if _cell(fix) not in page] == []


def _calls() -> Iterator[ast.Call]:
    for file in sorted(STATUS.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Diagnosis":
                yield node


def _reasons_in_code() -> set[Reason]:
    return {
        Reason[keyword.value.attr]
        for call in _calls()
        for keyword in call.keywords
        if keyword.arg == "reason"
        and isinstance(keyword.value, ast.Attribute)
        and getattr(keyword.value.value, "id", "") == "Reason"
    }


def _fixes_in_code() -> set[str]:
    return {
        keyword.value.value
        for call in _calls()
        for keyword in call.keywords
        if keyword.arg == "fix"
        and isinstance(keyword.value, ast.Constant)
        and isinstance(keyword.value.value, str)
    }
