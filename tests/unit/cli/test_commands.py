"""What commands say before they reach anything: usage, hints, completion."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paddock.__main__ import main
from paddock.api.inferencepool import ScalingStatus
from paddock.cli.bench import prompt_of
from paddock.cli.talk import absence_of
from support.pools import fresh


def types(*words: str) -> Result:
    return CliRunner().invoke(main, list(words), prog_name="paddock")


def test_source_without_a_scheme_is_a_usage_error_with_a_hint() -> None:
    result = types("run", "llama3.2")
    assert result.exit_code == 2
    assert "Did you mean ollama://llama3.2?" in result.stderr


@pytest.mark.parametrize("command", ["chat", "bench"])
def test_url_without_a_model_is_a_usage_error(command: str) -> None:
    result = types(command, "http://127.0.0.1:1/v1")
    assert result.exit_code == 2
    assert "With a URL, say which model: --model NAME." in result.stderr


def test_engine_that_does_not_answer_is_an_error_without_the_prompt() -> None:
    result = types("chat", "http://127.0.0.1:1", "a private question", "--model", "m")
    assert result.exit_code == 1
    assert result.output == "The engine did not answer (ConnectError).\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_is_for_the_shell(shell: str) -> None:
    result = types("completion", shell)
    assert result.exit_code == 0
    assert f"_PADDOCK_COMPLETE={shell}_complete" in result.stdout


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        (["ex"], ["explain"]),
        (["key", ""], ["create", "list", "revoke"]),
        (["run", "ollama://x", "--engine", "v"], ["vllm"]),
    ],
)
def test_bash_completes_what_is_typed(typed: list[str], offered: list[str], tmp_path: Path) -> None:
    program = tmp_path / "paddock"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m paddock "$@"\n')
    program.chmod(0o755)
    words = shlex.join(["paddock", *typed])
    asked = f"COMP_WORDS=({words}); COMP_CWORD={len(typed)}; _paddock_completion paddock"
    done = subprocess.run(
        ["bash"], input=f'source <(paddock completion bash)\n{asked}\necho "${{COMPREPLY[@]}}"\n',
        text=True, capture_output=True, check=False, timeout=60,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert (done.stdout.split(), done.stderr) == (offered, "")


def test_no_two_prompts_of_a_bench_start_alike() -> None:
    prompts = [prompt_of(16, number) for number in range(200)]
    assert len({prompt.split(":")[0] for prompt in prompts}) == 200
    assert {len(prompt.split()) for prompt in prompts} == {17}


def test_pool_that_sleeps_is_not_called_broken() -> None:
    pool = fresh().pool
    asleep = pool.status.model_copy(update={"scaling": ScalingStatus(desired=0, why="Idle.")})
    assert absence_of(pool.model_copy(update={"status": asleep})) == (
        "chat sleeps at zero replicas; a request to its endpoint wakes it."
    )
    assert absence_of(pool).startswith("No replica of chat is ready; `paddock explain pool/chat`")
