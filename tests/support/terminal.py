"""A program on a terminal of its own: what it shows is read, and keys are typed."""

import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import Self

_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\r")


class Terminal:
    """Runs a command with all its streams on one terminal."""

    def __init__(self, command: Sequence[str]) -> None:
        self._own, other = pty.openpty()
        heeding = ["env", "--default-signal=INT", *command]  # a shell has its background ignore it
        self.process = subprocess.Popen(
            heeding, stdin=other, stdout=other, stderr=other, close_fds=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
        )  # fmt: skip
        os.close(other)
        self.raw = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(timeout=30)
        os.close(self._own)

    @property
    def shown(self) -> str:
        """What a person sees, without colours and cursor movements."""
        return _CONTROL.sub("", self.raw)

    def until(self, words: str, seconds: float = 30) -> None:
        """Read until the words are shown."""
        deadline = time.monotonic() + seconds
        while words not in self.shown:
            assert time.monotonic() < deadline, f"never shown: {words}\n{self.shown}"
            if not self._read():
                assert words in self.shown, f"never shown: {words}\n{self.shown}"

    def types(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def interrupts(self) -> None:
        """Do what control-C does."""
        self.process.send_signal(signal.SIGINT)

    def ends(self, seconds: float = 30) -> int:
        """Read until the program ends and return its code."""
        deadline = time.monotonic() + seconds
        while self._read():
            assert time.monotonic() < deadline, f"it does not end:\n{self.shown}"
        return self.process.wait(timeout=seconds)

    def _read(self) -> bool:
        """Read what there is within a second; false at the end."""
        readable, _, _ = select.select([self._own], [], [], 1.0)
        if not readable:
            return self.process.poll() is None
        try:
            chunk = os.read(self._own, 65_536)
        except OSError:  # how Linux says that the other side has closed
            return False
        self.raw += chunk.decode(errors="replace")
        return bool(chunk)
