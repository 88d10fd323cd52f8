"""What is applied is read as YAML by the apiserver, whatever text a user put into it."""

import pytest
import yaml

from paddock.kube.real import apply_text

TEXTS = (
    "plain",
    "\U0001f600",
    "日本語",
    "\x00\x1b\x7f\x85",
    "\u2028\ufeff",
    'a "quoted" \\ud83d',
    "a: b",
)


@pytest.mark.parametrize("text", TEXTS)
def test_every_text_comes_back_from_yaml_as_it_was(text: str) -> None:
    manifest = {"spec": {"system": text, "list": [text, 1, None, True]}}
    assert yaml.safe_load(apply_text(manifest)) == manifest
    assert apply_text(manifest).isascii()
