"""The completion scripts in a real zsh and a real fish of Debian; bash has its test in unit/cli."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.local.debian import Tools, multiarch, tools
from support.terminal import Terminal

pytestmark = pytest.mark.contract


@pytest.fixture
def shells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Give the shells, and a program `paddock` to complete."""
    found = tools("shells", ["zsh", "fish"])
    program = tmp_path / "paddock"
    program.write_text(f'#!/bin/sh\nexec env -u LD_LIBRARY_PATH {sys.executable} -m paddock "$@"\n')
    program.chmod(0o755)
    own = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    for name, value in {**found.env, **own}.items():
        monkeypatch.setenv(name, value)
    return found


def test_fish_completes_what_is_typed(shells: Tools) -> None:
    typed = ["paddock ex", "paddock key ", "paddock run ollama://x --engine v"]
    asked = "".join(f"complete -C '{line}'; echo ==\n" for line in typed)
    done = subprocess.run(
        [shells.program("fish"), "--no-config"], text=True, capture_output=True, check=True,
        input=f"paddock completion fish | source\n{asked}", timeout=60,
    )  # fmt: skip
    offered = [[line.split("\t")[0] for line in each.split("\n") if line]
               for each in done.stdout.split("==\n")]  # fmt: skip
    assert offered == [["explain"], ["create", "list", "revoke"], ["vllm"], []]
    assert "explain\tSay why a pool or a model is not ready" in done.stdout
    assert done.stderr == ""


def test_zsh_completes_what_is_typed_at_its_prompt(shells: Tools) -> None:
    functions = shells.root / "usr/share/zsh/functions"
    begin = [
        f"module_path=({shells.root}/usr/lib/{multiarch()}/zsh/*(/))",
        f"fpath=({functions}/*(/) {functions}/Completion/*(/))",
        "zmodload zsh/zle && setopt zle",  # it looked for them in /usr when it started
        "autoload -U compinit && compinit -u -D",
        "source <(paddock completion zsh)",
        "print com''pletes",
    ]
    with Terminal([str(shells.program("zsh")), "-f", "-i"]) as zsh:
        zsh.types("; ".join(begin) + "\n")
        zsh.until("completes\n", 60)
        zsh.types("paddock ex\t")
        zsh.until("paddock explain ", 60)
        zsh.types("\x15paddock key \t\t")  # control-U: a new line
        zsh.until("revoke  -- Make a key good no more", 60)
        assert "create  -- Make a key" in zsh.shown
        assert "list    -- List the keys" in zsh.shown
