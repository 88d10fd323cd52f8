"""Which family of chat formats a model's own Jinja template belongs to."""

import json
from functools import partial
from pathlib import Path

import pytest

from paddock.api.localmodel import Modelfile
from paddock.puller.chat_templates import FAMILIES, detect_template
from paddock.puller.fetch import StoredFile
from paddock.puller.ollama_manifest import build_manifest
from paddock.puller.store import Store
from paddock.wire import Json

CHATML = next(family for family in FAMILIES if family.name == "chatml")


@pytest.mark.parametrize(
    ("jinja", "name"),
    [
        ("{{'<|im_start|>' + message['role']}}", "chatml"),
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


@pytest.mark.parametrize("jinja", [None, 5, "", "{{ messages }}", "<|user|>"])
def test_unknown_template_has_no_family(jinja: object) -> None:
    assert detect_template(jinja) is None


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
