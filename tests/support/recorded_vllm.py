"""What a real vLLM answered, kept beside this file; decision 0124 says how it was recorded."""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).with_name("recorded") / "vllm-0.11.0"
PAGE = (FOLDER / "metrics.txt").read_text()
"""Its /metrics while it answers two requests and a third waits."""
FLAGS = frozenset(
    line for line in (FOLDER / "flags.txt").read_text().splitlines() if not line.startswith("#")
)
"""What `vllm serve` takes."""
_TOLD: Any = json.loads((FOLDER / "answers.json").read_text())
ROUTES: frozenset[str] = frozenset(_TOLD["routes"])


def answer(name: str) -> tuple[int, Any]:
    """Return the status and the body of one recorded answer."""
    told = _TOLD["answers"][name]
    return told["status"], told["answer"]


def last_words(name: str) -> str:
    """Return what a kubelet keeps of a vLLM that did not start."""
    return (FOLDER / f"ended-by-{name}.txt").read_text()
