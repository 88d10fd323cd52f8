"""`paddock --help` imports nothing heavy, and says what each command says of itself."""

import subprocess
import sys

import click
import pytest

from paddock.__main__ import COMMANDS, main

HEAVY = {"kopf", "kubernetes", "aiohttp", "httpx", "pydantic", "rich", "yaml", "paddock.api.base"}
LEFT_OUT = {
    "rich", "pygments", "oauthlib", "requests", "websocket", "google.auth", "multiprocessing",
    "cryptography", "kubernetes.client.api_client", "kubernetes.informer", "opentelemetry.sdk",
}  # fmt: skip
"""What the operator's process has no use for: 20 MiB of memory."""
MOST_MODULES = 160
"""click itself is about 95 on Python 3.11."""


def modules_after(*arguments: str) -> set[str]:
    code = (
        "import sys\nfrom paddock.__main__ import main\n"
        f"main({list(arguments)!r}, standalone_mode=False)\n"
        "print('\\nMODULES', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.rpartition("MODULES ")[2].split())


def test_help_imports_nothing_heavy() -> None:
    loaded = modules_after("--help")
    assert loaded & HEAVY == set()
    assert len(loaded) < MOST_MODULES


def test_dry_run_needs_no_cluster_client() -> None:
    loaded = modules_after("run", "ollama://llama3.2:1b", "--dry-run")
    assert loaded & {"kopf", "kubernetes", "aiohttp", "httpx", "rich"} == set()


def test_operator_loads_nothing_it_does_not_call() -> None:
    loaded = modules_after("operator", "--help")
    assert "paddock.run" in loaded
    assert {name for name in loaded if name in LEFT_OUT} == set()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_listed_help_is_the_command_s_own(name: str) -> None:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    assert (command.help or "").split("\n\n")[0].replace("\n", " ") == COMMANDS[name].help
