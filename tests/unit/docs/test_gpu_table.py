"""The table of GPUs is the product's own arithmetic over models' published shapes."""

import os
from dataclasses import dataclass

from paddock.plan.fit import Load, need_of
from paddock.plan.quantity import GIBI
from support.pages import DOCS

PAGE = DOCS / "how-to" / "choose-a-gpu.md"
BEGIN = "<!-- table: written by tests/unit/docs/test_gpu_table.py -->\n"
END = "<!-- end -->\n"
BITS = {"Q4_K_M": 4.9, "BF16": 16.0}
SHORT, LONG = 8192, 32768
CARDS = (8, 12, 16, 24, 48, 80, 160)
SPARE = 0.9
GIGA = 10**9


@dataclass(frozen=True)
class Shape:
    """A model's published size: billions of parameters, layers, heads of the cache, their size."""

    name: str
    parameters: float
    layers: int
    heads: int
    width: int

    @property
    def cache_values_per_token(self) -> int:
        return 2 * self.layers * self.heads * self.width


SHAPES = (
    Shape("Llama 3.2 1B", 1.24, 16, 8, 64),
    Shape("Llama 3.2 3B", 3.21, 28, 8, 128),
    Shape("Qwen 2.5 7B", 7.62, 28, 4, 128),
    Shape("Llama 3.1 8B", 8.03, 32, 8, 128),
    Shape("Qwen 2.5 14B", 14.8, 48, 8, 128),
    Shape("Qwen 2.5 32B", 32.8, 64, 8, 128),
    Shape("Llama 3.3 70B", 70.6, 80, 8, 128),
)


def load(shape: Shape, kind: str, tokens: int) -> Load:
    return Load(int(shape.parameters * GIGA * BITS[kind] / 8), shape.cache_values_per_token, tokens)


def card_for(total: int) -> str:
    size = next((card for card in CARDS if total <= card * GIGA * SPARE), None)
    if size is None:
        return "more"
    return "2 x 80 GB" if size == CARDS[-1] else f"{size} GB"


def row(shape: Shape, kind: str) -> str:
    short, long = load(shape, kind, SHORT), load(shape, kind, LONG)
    need = need_of([short], at_once=1, cache_type=None)
    more = (long.cache_bytes(None) or 0) - (short.cache_bytes(None) or 0)
    numbers = (need.weights_bytes, need.cache_bytes or 0, need.total)
    cells = [shape.name, kind, *(f"{each / GIBI:.1f}" for each in numbers), card_for(need.total)]
    return f"| {' | '.join(cells)} | {more / GIBI:.1f} |"


def written() -> str:
    head = (
        "| model | weights as | weights | cache | needs | card | 32k more |\n"
        "| --- | --- | --- | --- | --- | --- | --- |\n"
    )
    rows = [row(shape, kind) for shape in SHAPES for kind in BITS]
    return head + "\n".join(rows) + "\n"


def test_table_is_the_product_s_own_arithmetic() -> None:
    head, begin, rest = PAGE.read_text().partition(BEGIN)
    table, end, tail = rest.partition(END)
    assert begin
    assert end
    if os.environ.get("PADDOCK_GOLDEN") == "write":
        PAGE.write_text(head + BEGIN + written() + END + tail)
        table = written()
    assert table == written(), "run this test with PADDOCK_GOLDEN=write, and look at the page"


def test_known_sizes_come_out() -> None:
    eight = next(shape for shape in SHAPES if shape.name == "Llama 3.1 8B")
    assert load(eight, "BF16", SHORT).cache_bytes(None) == GIBI
    assert abs(load(eight, "Q4_K_M", SHORT).weights_bytes / 4_920_734_272 - 1) < 0.01
