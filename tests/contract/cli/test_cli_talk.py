"""Chat and bench against a real llama-server: words stream, tokens count, refusals are told."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from paddock import names
from paddock.__main__ import main
from paddock.plan.engines.llama_cpp import PROFILE
from paddock.plan.engines.profile import PooledModel
from paddock.puller.store import Store
from support.engine_servers import can_run, serving
from support.stores import add_tiny_model, pool_of

pytestmark = [
    pytest.mark.contract,
    pytest.mark.skipif(not can_run(), reason="mounts of our own need root"),
]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("talk")
    folder.chmod(0o755)
    (folder / "store").mkdir()
    model = add_tiny_model(Store(folder / "store"), "alpha", seed=1)
    pooled = (PooledModel("alpha", model, names.STORE_PATH, preload=True, context_length=None),)
    run = PROFILE.run(pool_of(PROFILE.name, "alpha"), pooled)
    with serving(PROFILE, run, folder / "pod", {"/store": folder / "store"}) as served:
        yield served.url


def types(*words: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, list(words), input=typed, prog_name="paddock")


def test_chat_prints_the_answer_of_a_prompt_from_a_pipe(url: str) -> None:
    result = types("chat", url, "--model", "alpha", "--max-tokens", "5", typed="Hello!\n")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.strip()


def test_chat_takes_a_base_url_with_v1_and_a_prompt(url: str) -> None:
    result = types("chat", f"{url}/v1/", "Hello!", "--model", "alpha", "--max-tokens", "3")
    assert (result.exit_code, result.stderr) == (0, "")


def test_bench_counts_the_tokens_the_engine_counts(url: str) -> None:
    words = ["bench", url, "--model", "alpha", "--requests", "4", "-c", "2", "--max-tokens", "6"]
    result = types(*words, "--prompt-words", "4", "-o", "json")
    assert result.exit_code == 0, result.stderr
    report = json.loads(result.stdout)
    assert (report["requests"], report["failed"]) == (4, 0)
    assert 4 <= report["tokens"] <= 24
    assert 0 < report["first_token_ms"]["p50"] <= report["request_ms"]["p50"]


def test_request_the_engine_refuses_is_told_in_its_words(url: str) -> None:
    long = "word " * 20_000
    chat = types("chat", url, "--model", "alpha", typed=long)
    assert chat.exit_code == 1
    assert "The engine answers HTTP 400: " in chat.stderr
    assert "word word" not in chat.stderr


def test_key_is_read_from_a_file_and_never_shown(url: str, tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("sk-private-canary\n")
    words = ["chat", url, "Hi", "--model", "alpha", "--max-tokens", "2", "--key-file", str(key)]
    result = types(*words)
    assert result.exit_code == 0
    assert "canary" not in result.output
