"""The README is one screen, and leads to everything else."""

from support.pages import ROOT, blocks

SCREEN = 80
"""Lines of the whole file; its first block of output is most of them."""


def test_readme_is_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= SCREEN


def test_first_two_blocks_are_the_two_commands() -> None:
    own = [block.text for block in blocks() if block.file == ROOT / "README.md"]
    assert own[:2] == ["$ operator/bin/paddock up\n", "$ python3 tests/run\n"]


def test_ci_runs_the_readme_s_test_command() -> None:
    assert "python3 tests/run" in (ROOT / ".ci" / "run").read_text()
