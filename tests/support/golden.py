"""Whole values compared with a committed file; `PADDOCK_GOLDEN=write` writes them anew."""

import os
from pathlib import Path

import yaml

from paddock.wire import Json


class _Plain(yaml.SafeDumper):
    """Writes every value where it stands."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def check_golden(file: Path, value: Json) -> None:
    """Fail unless the file says exactly this value."""
    check_golden_text(file, yaml.dump(value, Dumper=_Plain, sort_keys=True, width=100))


def check_golden_text(file: Path, text: str) -> None:
    """Fail unless the file says exactly this text."""
    if os.environ.get("PADDOCK_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert text == file.read_text(), f"{file.name} differs; look at it, then write it anew"
