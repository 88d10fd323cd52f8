"""The documentation's pages: their blocks of code, commands and tables, as the tests read them."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "operator" / "docs"
_FENCE = re.compile(r"^```(\S*)[ ]?(.*)$")
_PROMPT = "$ "
_CODE = re.compile(r"`([^`]+)`")


@dataclass(frozen=True)
class Block:
    """One fenced block; `note` is what follows its language."""

    file: Path
    line: int
    language: str
    note: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One typed command of a console block, as words; what it reads from a here-document."""

    block: Block
    line: str
    typed: str | None

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line)

    def __str__(self) -> str:
        return f"{self.block} {self.line}"


def pages() -> list[Path]:
    """Return every page but the decisions, whose blocks are history."""
    own = [page for page in sorted(DOCS.rglob("*.md")) if "decisions" not in page.parts]
    return [ROOT / "README.md", *own, *sorted(ROOT.glob("charts/*/README.md"))]


def blocks(*languages: str) -> list[Block]:
    """Return the blocks of all pages in these languages; without any, all."""
    found = [block for page in pages() for block in _blocks_of(page)]
    return [block for block in found if not languages or block.language in languages]


def _blocks_of(page: Path) -> Iterator[Block]:
    opened: tuple[int, str, str] | None = None
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = _FENCE.match(line)
        if opened is not None and line == "```":
            yield Block(page, *opened, "\n".join(lines) + "\n")
            opened = None
        elif opened is not None:
            lines.append(line)
        elif fence:
            opened, lines = (number, fence[1], fence[2]), []
    assert opened is None, f"{page} has a block without an end"


def commands() -> list[Command]:
    """Return every command of the console blocks."""
    return [command for block in blocks("console") for command in _commands_of(block)]


def _commands_of(block: Block) -> Iterator[Command]:
    lines = iter(block.text.splitlines())
    for line in lines:
        if not line.startswith(_PROMPT):
            continue
        whole = line.removeprefix(_PROMPT)
        while whole.endswith("\\"):
            whole = whole.removesuffix("\\") + next(lines).strip()
        before, here, end = whole.partition(" <<")
        typed = None
        if here:
            body = iter(lambda: next(lines), end.strip("'\""))
            typed = "\n".join(body) + "\n"
        yield Command(block, before, typed)


def table_fields(page: Path, heading: str) -> set[str]:
    """Return the fields that the tables under a heading name in their first column.

    A cell may name siblings: `a.b[].c`, `.d` is a.b[].c and a.b[].d.
    """
    fields: set[str] = set()
    for row in table_rows(page, heading):
        first, *others = _CODE.findall(row[0])
        parent = first.rpartition(".")[0]
        fields |= {first, *(f"{parent}{other}" for other in others)}
    return fields


def table_rows(page: Path, heading: str) -> list[list[str]]:
    """Return the cells of every table under a heading of any depth, without the heads."""
    rows: list[list[str]] = []
    depth, last = 0, ""
    for line in page.read_text().splitlines():
        if line.startswith("#"):
            own = len(line) - len(line.lstrip("#"))
            if line.lstrip("# ") == heading:
                depth = own
            elif own <= depth:
                depth = 0
        elif depth and last.startswith("|") and line.startswith("| ") and set(line) - set("|- :"):
            rows.append([cell.strip() for cell in line.strip("| ").split(" | ")])
        last = line
    return rows
