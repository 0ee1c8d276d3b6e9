"""Archives as streams, unpacked as they are read: in bounded memory and time."""

from __future__ import annotations

import importlib
import io
import lzma
from collections.abc import Callable
from typing import IO, Any

from topfive.system.files import open_regular

COMPRESSIONS = {  # how a file begins, and the module that reads it
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"\x28\xb5\x2f\xfd": "compression.zstd",  # Python 3.14
}
START = 512  # bytes that tell what a file is
MEMORY = 160 << 20  # bytes; xz -9 takes 65 MB
# What may be unpacked: gzip packs 1,032 bytes into one at most, bzip2 45,000.
FREE, RATIO = 1 << 30, 1100
BLOCK = 1 << 18


def open_archive(path: str) -> IO[bytes]:
    """Open a file, unpacked where it is compressed as a whole; to seek back in that takes long.

    Raises:
        OSError: it cannot be read, or is no regular file.
    """
    raw = open_regular(path)
    try:
        start = raw.read(START)
        raw.seek(0)
        for magic, module in COMPRESSIONS.items():
            if start.startswith(magic):
                unpack = _Xz if module == "lzma" else importlib.import_module(module).open
                return _Unpacked(raw, unpack)  # type: ignore[return-value]
    except BaseException:
        raw.close()
        raise
    return raw


class TooMuchError(ValueError):
    """An archive that is not unpacked: it would take too much memory, or never end."""


class _Unpacked:
    """A compressed file, which ends with an error where it holds too much for its size."""

    def __init__(self, raw: IO[bytes], unpack: Callable[[IO[bytes]], Any]) -> None:
        self._raw, self._unpack = raw, unpack
        self._opened, self._place = unpack(raw), 0

    def __enter__(self) -> _Unpacked:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()
        self._raw.close()

    def tell(self) -> int:
        return self._place

    def seek(self, place: int) -> None:
        if place < self._place:
            self._raw.seek(0)
            self._opened, self._place = self._unpack(self._raw), 0
        while self._place < place and self._read_block(place - self._place):
            pass

    def read(self, size: int) -> bytes:
        """Return up to `size` bytes; memory is taken for those that come."""
        result = io.BytesIO()
        while size > result.tell() and (block := self._read_block(size - result.tell())):
            result.write(block)
        return result.getvalue()

    def _read_block(self, size: int) -> bytes:
        block: bytes = self._opened.read(min(size, BLOCK))
        self._place += len(block)
        if self._place > FREE + RATIO * self._raw.tell():
            raise TooMuchError(
                f"it holds over {self._place:,} bytes in {self._raw.tell():,}; unpack it first"
            )
        return block


class _Xz:
    """An xz file; Python's own reader knows no limit on memory."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw, self._input = raw, b""
        self._decompressor = self._begin()

    def _begin(self) -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MEMORY)

    def close(self) -> None:
        """Do nothing: who opened the file closes it."""

    def read(self, size: int) -> bytes:
        while True:
            if self._decompressor.eof:
                # Other streams may follow, after zeros.
                self._input = (self._decompressor.unused_data or self._input).lstrip(b"\0")
                while not self._input and (block := self._raw.read(BLOCK)):
                    self._input = block.lstrip(b"\0")
                if not self._input:
                    return b""
                self._decompressor = self._begin()
            if self._decompressor.needs_input and not self._input:
                self._input = self._raw.read(BLOCK)
                if not self._input:
                    raise EOFError("cut off")
            try:
                data = self._decompressor.decompress(self._input, size)
            except lzma.LZMAError as error:
                if "Memory" in str(error):
                    what = f"it was compressed with over {MEMORY >> 20} MiB of memory"
                    raise TooMuchError(f"{what}; unpack it first") from error
                raise
            self._input = b""
            if data:
                return data
