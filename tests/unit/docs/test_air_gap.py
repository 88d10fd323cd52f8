"""The page on clusters without the internet names every image; PADDOCK_GOLDEN=write does it."""

import os
from collections.abc import Iterator

from paddock.plan.engines.registry import PROFILES
from paddock.plan.telemetry.collector import IMAGE
from paddock.settings import Images
from support.pages import DOCS

PAGE = DOCS / "how-to" / "air-gap.md"
BEGIN, END = "<!-- table: written by tests/unit/docs/test_air_gap.py -->\n", "<!-- end -->\n"


def images() -> Iterator[tuple[str, str]]:
    """Yield every image that a default install may ask for, and for what."""
    yield Images().operator, "The operator, the activator, pulls"
    yield Images().gateway, "Gateways"
    for name, profile in PROFILES.items():
        yield (
            profile.image,
            f"`{name}`" if profile.image == profile.gpu_image else f"`{name}`, CPUs",
        )
        if profile.gpu_image != profile.image:
            yield profile.gpu_image, f"`{name}`, NVIDIA's GPUs"
    yield IMAGE, "Pools with `spec.telemetry`"


def table() -> str:
    rows = "".join(f"| `{image}` | {use} |\n" for image, use in images())
    return f"| image | for |\n| --- | --- |\n{rows}"


def test_page_names_every_image() -> None:
    before, begin, rest = PAGE.read_text().partition(BEGIN)
    assert begin
    told, end, after = rest.partition(END)
    assert end
    if os.environ.get("PADDOCK_GOLDEN") == "write":
        PAGE.write_text(before + BEGIN + table() + END + after)
        told = table()
    assert told == table(), "run this test with PADDOCK_GOLDEN=write"
