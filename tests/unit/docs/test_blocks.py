"""Every block of the documentation is of a kind that some test runs; commands are ones we have."""

import re

import click
import pytest
import yaml

from paddock.__main__ import main
from paddock.api.inferencepool import InferencePool
from paddock.api.localmodel import LocalModel
from paddock.api.source import parse_source
from paddock.plan.engines.registry import PROFILES
from paddock.plan.pool_refusals import refuse_pool
from paddock.plan.replica import pooled_models
from support.pages import ROOT, Block, Command, blocks, commands, pages
from support.pools import DIGEST
from support.stores import ready_model

LANGUAGES = {"yaml", "console", "python", "text"}
OURS = {"paddock", "operator/bin/paddock"}
RUN_ELSEWHERE = {"kubectl", "curl", "helm"}
"""By tests/contract/cli/test_docs.py."""
METADATA = {"namespace": "team", "uid": "uid"}
_LINK = re.compile(r"\]\(([^)#]+)(#[^)]*)?\)")


def own_words(command: Command) -> list[str] | None:
    """Return a command of ours without the program's name, or None if it is another's."""
    words = command.words
    if words[:2] == ["kubectl", "paddock"]:
        return words[2:]
    return words[1:] if words[0] in OURS else None


def parse(words: list[str]) -> None:
    """Read a command of ours as our own parser does, and run nothing."""
    if words == ["--help"]:
        return
    name, *rest = words
    sub = main.get_command(click.Context(main), name)
    assert sub is not None, f"there is no command {name}"
    sub.make_context(name, rest)


@pytest.mark.parametrize("block", blocks(), ids=str)
def test_block_is_of_a_kind_that_is_checked(block: Block) -> None:
    assert block.language in LANGUAGES
    assert block.note in {"", "foreign", "values"}
    if block.language == "yaml" and not block.note:
        for each in yaml.safe_load_all(block.text):
            assert {"apiVersion", "kind", "metadata"} <= set(each)


@pytest.mark.parametrize("command", commands(), ids=str)
def test_command_is_one_that_is_there(command: Command) -> None:
    own = own_words(command)
    if own is not None:
        parse(own)
        return
    first, *others = command.words
    if first == "source":
        assert "".join(others) in {"<(paddock completion bash)", "<(paddockcompletionbash)"}
    elif first == "python3":
        assert (ROOT / others[0]).is_file()
    elif first == "export":
        assert re.fullmatch(r"[A-Z_]+=\S+", others[0])
    else:
        assert first in RUN_ELSEWHERE


def documents(block: Block) -> list[dict[str, object]]:
    return list(yaml.safe_load_all(block.text))


def models_of(page_blocks: list[Block]) -> dict[str, LocalModel]:
    """Return a page's models as they are once pulled: safetensors, unless the source says GGUF."""
    found = {}
    for block in page_blocks:
        for each in documents(block):
            if each["kind"] != "LocalModel":
                continue
            whole = {**each, "metadata": {**METADATA, **each["metadata"]}}  # type: ignore[dict-item]  # YAML
            spec = LocalModel.model_validate(whole).spec
            parse_source(spec.source)
            is_gguf = "gguf" in spec.source.lower() or spec.source.startswith("ollama://")
            kind = "gguf" if is_gguf else "safetensors"
            name = str(whole["metadata"]["name"])  # type: ignore[index]  # YAML
            ready = ready_model(name, DIGEST, claim=None, format=kind)
            found[name] = ready.model_copy(update={"spec": spec})
    return found


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_pools_of_a_page_are_accepted_by_their_engines(page: object) -> None:
    own = [block for block in blocks("yaml") if block.file == page and not block.note]
    models = models_of(own)
    for block in own:
        for each in documents(block):
            if each["kind"] != "InferencePool":
                continue
            whole = {**each, "metadata": {**METADATA, **each["metadata"]}}  # type: ignore[dict-item]  # YAML
            pool = InferencePool.model_validate(whole)
            profile = PROFILES[pool.spec.engine.name]
            assert refuse_pool(pool, profile, pooled_models(pool, models)) == (), str(block)


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_links_lead_somewhere(page: object) -> None:
    assert hasattr(page, "read_text")
    for target, _ in _LINK.findall(page.read_text()):
        if "://" not in target:
            assert (page.parent / target).exists(), target  # type: ignore[attr-defined]  # a path


def test_every_page_can_be_reached_from_the_first() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached or page.suffix != ".md" or not page.is_file():
            continue
        reached.add(page)
        links = [link for link, _ in _LINK.findall(page.read_text()) if "://" not in link]
        todo += [(page.parent / link).resolve() for link in links]
    own = {page for page in pages() if "charts" not in page.parts}
    assert own <= reached


def test_usage_errors_are_seen() -> None:
    with pytest.raises(click.UsageError):
        parse(["ls", "--no-such-option"])
