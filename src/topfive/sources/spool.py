"""Bytes of any number that can be had only once: in memory while they are few, then on disk."""

from __future__ import annotations

import tempfile
from typing import IO

MEMORY = 1 << 20  # bytes; above that they are in an unnamed file, in the folder for those
BLOCK = 1 << 18


class Spool:
    """A file that is written once, and read from any thread, one at a time."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(MEMORY)  # noqa: SIM115  it goes with this
        self.size = 0

    def __del__(self) -> None:
        self._file.close()

    def write(self, block: bytes) -> None:
        """Add to it.

        Raises:
            OSError: there is no room on the disk.
        """
        self._file.write(block)
        self.size += len(block)

    def fill(self, stream: IO[bytes], size: int) -> None:
        """Add up to `size` bytes of a stream, fewer where it ends.

        Raises:
            OSError, ValueError: the stream cannot be read, or there is no room.
        """
        while size and (block := stream.read(min(size, BLOCK))):
            self.write(block)
            size -= len(block)

    def restart(self) -> None:
        """Throw away what is in it."""
        self._file.seek(0)
        self._file.truncate()
        self.size = 0

    def read(self) -> bytes:
        """Return all that was written."""
        self._file.seek(0)
        return self._file.read()
