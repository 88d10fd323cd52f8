"""Which blocks of an unfinished file are already there; survives SIGKILL.

One byte per block in a mapped file beside the data. A block is marked after its bytes are written,
so a kill costs at most the blocks then in flight: at 8 connections and 256 KiB, 2 MiB. After a
power loss the digest decides.
"""

import mmap
import os
from collections.abc import Iterator
from pathlib import Path

BLOCK = 256 << 10


class Journal:
    """The marks of one unfinished file."""

    def __init__(self, file: Path, size: int) -> None:
        self.blocks = -(-size // BLOCK)
        flags = os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(file, flags, 0o664)
        try:
            if os.fstat(handle).st_size != self.blocks:
                os.ftruncate(handle, 0)
                os.posix_fallocate(handle, 0, self.blocks)  # a hole on a full volume is SIGBUS
            self._marks = mmap.mmap(handle, self.blocks)
        finally:
            os.close(handle)

    def mark(self, block: int) -> None:
        """Record that a block's bytes are written."""
        self._marks[block] = 1

    def has(self, block: int) -> bool:
        """Return whether a block's bytes are written."""
        return self._marks[block] == 1

    def gaps(self) -> Iterator[tuple[int, int]]:
        """Yield the half-open ranges of blocks that are missing."""
        position = self._marks.find(b"\x00")
        while position >= 0:
            end = self._marks.find(b"\x01", position)
            end = self.blocks if end < 0 else end
            yield position, end
            position = self._marks.find(b"\x00", end)

    def clear(self) -> None:
        """Forget every mark."""
        self._marks[:] = bytes(self.blocks)

    def close(self) -> None:
        """Unmap the file."""
        self._marks.close()
