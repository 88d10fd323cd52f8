"""Which family of chat formats a model's own Jinja template belongs to."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from paddock.api.chat_templates import FAMILIES, ChatTemplate, detect_template
from paddock.api.localmodel import Modelfile
from paddock.puller.fetch import StoredFile
from paddock.puller.gguf import GgufHeader, read_header
from paddock.puller.ollama_manifest import build_manifest
from paddock.puller.store import Store
from paddock.wire import Json
from support.tiny_model import TEMPLATE, write_tiny_model

CHATML = next(family for family in FAMILIES if family.name == "chatml")
GEMMA = next(family for family in FAMILIES if family.name == "gemma")


@pytest.mark.parametrize(
    ("jinja", "name"),
    [
        ("{{'<|im_start|>' + message['role']}}", "chatml"),
        ("'<|im_start|>' + role + '<|im_sep|>'", "phi4"),
        ("'<|start_header_id|>' + role + '<|end_header_id|>'", "llama3"),
        ("<start_of_turn>model", "gemma"),
        ("<|user|>\n x <|end|>\n<|assistant|>", "phi3"),
        ("<|user|>\n x <|endoftext|><|assistant|>", "zephyr"),
        ("[SYSTEM_PROMPT] [INST]", "mistral-v7"),
        ("[INST] <<SYS>>", "llama2-sys"),
        ("bos_token + '[INST] '", "mistral-v3"),
        ("<|start_of_role|>", "granite"),
        ("<|START_OF_TURN_TOKEN|>", "command-r"),
        ("<\uff5cUser\uff5c> <\uff5cAssistant\uff5c>", "deepseek3"),
    ],
)
def test_family_is_told_by_its_markers(jinja: str, name: str) -> None:
    family = detect_template(jinja)

    assert family is not None
    assert family.name == name


@pytest.mark.parametrize("jinja", ["", "{{ messages }}", "<|user|>"])
def test_unknown_template_has_no_family(jinja: str) -> None:
    assert detect_template(jinja) is None


@pytest.mark.parametrize(
    ("markers", "family"),
    [
        (("<start_of_turn>", "<end_of_turn>"), "gemma"),
        (("<|im_sep|>", "<|im_start|>"), "phi4"),
        (("<|im_start|>",), "chatml"),
        (("a<|im_start|>", "<|im_start|>a", "<|user|>"), None),
    ],
)
def test_file_without_a_template_tells_its_family_by_whole_tokens(
    tmp_path: Path, markers: tuple[str, ...], family: str | None
) -> None:
    header = header_of(write_tiny_model(tmp_path / "m.gguf", markers=markers))

    missing = header.missing_template
    assert (missing.name if missing else None) == family


def test_file_with_a_template_misses_none_whatever_its_vocabulary_says(tmp_path: Path) -> None:
    header = header_of(write_tiny_model(tmp_path / "m.gguf"))

    assert header.own_template == TEMPLATE
    assert replace(header, markers=frozenset(CHATML.markers)).missing_template is None


@pytest.mark.parametrize(("finetune", "family"), [({}, None), ({"general.finetune": "it"}, GEMMA)])
def test_weights_that_were_made_for_no_chat_get_no_template(
    finetune: dict[str, str], family: ChatTemplate | None
) -> None:
    values = {"general.basename": "gemma-3", **finetune}

    assert GgufHeader(values, 1, 1, frozenset(GEMMA.markers)).missing_template is family


def header_of(file: Path) -> GgufHeader:
    with file.open("rb") as stream:
        return read_header(stream, file.stat().st_size)


def texts(tmp_path: Path, modelfile: Modelfile | None) -> dict[str, str]:
    store = Store(tmp_path)
    model = StoredFile("a.gguf", f"sha256:{'a' * 64}", 5, None)
    manifest, digests = build_manifest(partial(store.add_bytes, "m"), model, modelfile, CHATML)
    layers: Json = manifest["layers"]
    assert isinstance(layers, list)
    assert {str(layer["digest"]) for layer in layers if isinstance(layer, dict)} <= set(digests)
    return {
        str(layer["mediaType"]).rpartition(".")[2]: store.blob(str(layer["digest"])).read_text()
        for layer in layers[1:]
        if isinstance(layer, dict)
    }


def test_model_without_a_modelfile_gets_its_familys_template_and_stops(tmp_path: Path) -> None:
    assert texts(tmp_path, None) == {
        "template": CHATML.go,
        "params": json.dumps({"stop": list(CHATML.stop)}),
    }


def test_modelfiles_parameters_join_the_familys_stops(tmp_path: Path) -> None:
    modelfile = Modelfile.model_validate({"parameters": {"temperature": 0.5}})

    assert json.loads(texts(tmp_path, modelfile)["params"]) == {
        "stop": list(CHATML.stop),
        "temperature": 0.5,
    }


def test_modelfiles_own_template_and_stops_go_before(tmp_path: Path) -> None:
    own = Modelfile.model_validate({"template": "{{ .Prompt }}", "parameters": {"stop": ["END"]}})

    assert texts(tmp_path, own) == {
        "template": "{{ .Prompt }}",
        "params": json.dumps({"stop": ["END"]}),
    }
