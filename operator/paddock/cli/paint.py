"""Lines of toned words: tables and trees are made of them, pure, and printed in one place.

The text is the same on a terminal and in a pipe; only the colours go.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import zip_longest
from typing import TypeAlias


class Tone(Enum):
    """What a word means to the reader; a colour on a terminal."""

    PLAIN = "plain"
    GOOD = "green"
    WAITING = "yellow"
    BAD = "red"
    QUIET = "bright_black"
    STRONG = "bold"


@dataclass(frozen=True, slots=True)
class Word:
    """Some text in one tone."""

    text: str
    tone: Tone = Tone.PLAIN


Line: TypeAlias = tuple[Word, ...]
Cell: TypeAlias = Word | str | int | None
_GAP = "   "


def text_of(lines: Sequence[Line]) -> str:
    """Return the lines without their tones, as a pipe gets them."""
    return "\n".join("".join(word.text for word in line).rstrip() for line in lines)


def table_lines(headers: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[Line]:
    """Lay cells under their headers, as wide as the widest; nothing is cut."""
    words = [[_word(cell) for cell in row] for row in rows]
    widths = [
        max(len(word.text) for word in column if word is not None)
        for column in zip_longest([Word(header) for header in headers], *words)
    ]
    head = [Word(header, Tone.QUIET) for header in headers]
    return [_padded(row, widths) for row in (head, *words)]


def _padded(row: Sequence[Word], widths: Sequence[int]) -> Line:
    last = len(row) - 1
    return tuple(
        Word(word.text if index == last else word.text.ljust(width) + _GAP, word.tone)
        for index, (word, width) in enumerate(zip(row, widths, strict=True))
    )


def _word(cell: Cell) -> Word:
    if isinstance(cell, Word):
        return cell if cell.text else Word("-", Tone.QUIET)
    return Word("-", Tone.QUIET) if cell is None or cell == "" else Word(str(cell))


@dataclass(frozen=True, slots=True)
class Branch:
    """One node of a tree: its line, and what hangs under it."""

    line: Line
    children: tuple["Branch", ...] = ()


def tree_lines(root: Branch) -> list[Line]:
    """Draw a tree with the usual corners."""
    return [root.line, *_under(root.children, ())]


def _under(children: Sequence[Branch], before: Line) -> list[Line]:
    drawn: list[Line] = []
    for index, child in enumerate(children):
        is_last = index == len(children) - 1
        corner, stem = ("└── ", "    ") if is_last else ("├── ", "│   ")
        drawn.append((*before, Word(corner, Tone.QUIET), *child.line))
        drawn += _under(child.children, (*before, Word(stem, Tone.QUIET)))
    return drawn
