"""A file in a tar or zip archive, read where it stands."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import IO

from topfive.errors import PictureError
from topfive.sources.unpacking import open_archive
from topfive.system.files import open_regular

LOCAL_HEADER = struct.Struct("<4s22xHH")  # ... the lengths of the name and the extra field
LOCAL_MAGIC = b"PK\3\4"
BLOCK = 1 << 18


@dataclass(frozen=True)
class Member:
    """A file in an archive: in a tar, `size` bytes at `offset` when that is uncompressed."""

    archive: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Return the bytes, and never more than the archive declares.

        Raises:
            PictureError: the archive has gone or is broken.
        """
        try:
            return self._read()
        except Exception as error:
            raise to_picture_error(error) from error

    def _read(self) -> bytes:
        with open_archive(self.archive) as file:
            return take(file, self.offset, self.size)


@dataclass(frozen=True)
class ZipMember(Member):
    """A file in a zip, whose local header is at `offset`; it takes up `packed` bytes."""

    packed: int
    crc: int
    deflated: bool

    def _read(self) -> bytes:
        with open_regular(self.archive) as file:
            header = LOCAL_HEADER.unpack(take(file, self.offset, LOCAL_HEADER.size))
            if header[0] != LOCAL_MAGIC:
                raise ValueError("no member where the directory says")
            file.seek(self.offset + LOCAL_HEADER.size + sum(header[1:]))
            data = self._inflate(file) if self.deflated else file.read(self.packed)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise ValueError("its content is not what the archive declares")
        return data

    def _inflate(self, file: IO[bytes]) -> bytes:
        """Return no more than a byte above what is declared, whatever is packed."""
        result, left = io.BytesIO(), self.packed
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        while left and not inflate.eof and (block := file.read(min(left, BLOCK))):
            left -= len(block)
            while block and (room := self.size + 1 - result.tell()):
                result.write(inflate.decompress(block, min(room, 4 * BLOCK)))
                block = inflate.unconsumed_tail
        return result.getvalue()


def take(file: IO[bytes], start: int, size: int) -> bytes:
    """Return `size` bytes of a file.

    Raises:
        EOFError: there are fewer.
    """
    file.seek(start)
    data = file.read(size)
    if len(data) < size:
        raise EOFError("cut off")
    return data


def too_large(limit: int) -> PictureError:
    """Return the error of what has more bytes than are read."""
    return PictureError("too-large", f"over the limit of {limit:,} bytes")


def to_picture_error(error: Exception) -> PictureError:
    """Return the error that says what is wrong with an archive."""
    if isinstance(error, ModuleNotFoundError):
        return PictureError("unsupported", "compressed by zstd, which Python reads from 3.14 on")
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        return PictureError("unreadable", f"cannot be read: {error.strerror}")
    return PictureError("broken", f"the archive is broken: {reason}")
