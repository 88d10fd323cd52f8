"""Commands on a terminal: the bar moves, colours say what is well, questions are asked."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.local import builds
from paddock.local.control_plane import ControlPlane
from paddock.local.progress import Lines
from support.pages import ROOT
from support.person import READY, Person, condition
from support.terminal import Terminal

pytestmark = pytest.mark.contract

SOURCE = "https://models.example.com/tiny.gguf"
GREEN, YELLOW = "\x1b[32m", "\x1b[33m"


def typed(person: Person, *words: str) -> Terminal:
    return Terminal([sys.executable, "-m", "paddock", *words, *person.options()])


def until_made(person: Person, terminal: Terminal, kind: str) -> None:
    while person.get(kind, "tiny") is None:
        assert terminal.process.poll() is None, terminal.shown


def test_bar_moves_and_its_last_words_stay(person: Person) -> None:
    with typed(person, "pull", SOURCE) as terminal:
        until_made(person, terminal, "LocalModel")
        pulling = [condition("Ready", "False", "Pulling", "The model is being pulled.")]
        progress = {"bytes": 400, "totalBytes": 1000, "percent": 40}
        person.tell("LocalModel", "tiny", {"conditions": pulling, "progress": progress})
        terminal.until("pulling 40 %, 400 B of 1.0 KB")
        assert "━" in terminal.shown
        artifact = {"digest": "sha256:" + "a" * 64, "bytes": 1000}
        ready = {"conditions": READY, "progress": None, "artifact": artifact}
        person.tell("LocalModel", "tiny", ready)
        assert terminal.ends() == 0
        last = terminal.shown.rstrip().splitlines()[-1]
        assert last.endswith("model/tiny  pulled and verified: 1.0 KB, aaaaaaaaaaaa")


def test_colours_say_what_is_well(person: Person) -> None:
    person.make("LocalModel", "tiny", {"source": SOURCE})
    with typed(person, "ls") as terminal:
        assert terminal.ends() == 0
        assert f"{YELLOW}Unknown" in terminal.raw
    person.tell("LocalModel", "tiny", {"conditions": READY})
    with typed(person, "explain", "tiny") as terminal:
        assert terminal.ends() == 0
        assert f"{GREEN}✓" in terminal.raw


def test_purge_asks_and_obeys(person: Person) -> None:
    person.claim("gone-weights", made_for="gone")
    for answer, code, left in (("n", 1, ["gone-weights"]), ("y", 0, [])):
        with typed(person, "purge") as terminal:
            terminal.until("Delete 1 for ever? [y/N]: ")
            terminal.types(f"{answer}\n")
            assert terminal.ends() == code
        assert person.claims() == left


def test_interrupt_ends_the_wait_and_nothing_in_the_cluster(person: Person) -> None:
    with typed(person, "pull", SOURCE) as terminal:
        terminal.until("waiting for the operator")
        terminal.interrupts()
        assert terminal.ends() == 130
    assert person.get("LocalModel", "tiny") is not None


def test_kubectl_finds_the_plugin(control_plane: ControlPlane) -> None:
    binary = builds.ensure(["kubectl"], Lines())["kubectl"] / "kubectl"
    done = subprocess.run(
        [binary, "--kubeconfig", control_plane.kubeconfig, "plugin", "list"],
        capture_output=True, text=True, check=False, timeout=60,
        env={"PATH": str(ROOT / "operator" / "bin")},
    )  # fmt: skip
    assert str(ROOT / "operator" / "bin" / "kubectl-paddock") in done.stdout, done.stderr


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["ex"], ["explain", ":4"]),
        (["key", ""], ["create", "list", "revoke", ":4"]),
        (["ls", "--kubecon"], ["--kubeconfig", ":4"]),
        (["ls", "--kubeconfig", ""], [":0"]),
    ],
)
def test_kubectl_completes_the_plugin(words: list[str], offered: list[str], tmp_path: Path) -> None:
    for name in ("kubectl-paddock", "kubectl_complete-paddock"):
        program = tmp_path / name
        program.write_text(
            f"#!{sys.executable}\nfrom paddock.__main__ import start\nstart({name!r})\n"
        )
        program.chmod(0o755)
    binary = builds.ensure(["kubectl"], Lines())["kubectl"] / "kubectl"
    done = subprocess.run(
        [binary, "__complete", "paddock", *words],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    said = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert said == offered, done.stderr
