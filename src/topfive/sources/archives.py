"""The pictures in tar and zip archives, read where they stand: nothing is extracted to disk."""

from __future__ import annotations

import importlib
import os
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from topfive.errors import PictureError

if TYPE_CHECKING:
    import zipfile

# Not looked into: to open a file costs more than to name it.
PICTURES = tuple(".jpg .jpeg .png .webp .gif .bmp .tif .tiff .heic .avif .dcm .dicom".split())
COMPRESSIONS = {  # how a file begins, and the module that reads it
    b"\x1f\x8b": "gzip",
    b"BZh": "bz2",
    b"\xfd7zXZ\0": "lzma",
    b"\x28\xb5\x2f\xfd": "compression.zstd",  # Python 3.14
}
ZIPS = (b"PK\3\4", b"PK\5\6")
LOCAL_HEADER = struct.Struct("<4s22xHH")  # ... the lengths of the name and the extra field
STORED, DEFLATED, ENCRYPTED = 0, 8, 1
BLOCK = 512
MAX_HEADER = 1 << 20  # bytes of one member's tar headers
MAX_HELD = 64 << 20  # bytes of a compressed tar's member that are kept until they are asked for
MAX_END = 1 << 20  # bytes behind a compressed tar's last member


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
            raise _fault(error) from error

    def _read(self) -> bytes:
        with _open(self.archive) as file:
            return _take(file, self.offset, self.size)


@dataclass(frozen=True)
class ZipMember(Member):
    """A file in a zip, whose local header is at `offset`; it takes up `packed` bytes."""

    packed: int
    crc: int
    deflated: bool

    def _read(self) -> bytes:
        with Path(self.archive).open("rb") as file:
            header = LOCAL_HEADER.unpack(_take(file, self.offset, LOCAL_HEADER.size))
            if header[0] != ZIPS[0]:
                raise ValueError("no member where the directory says")
            data = _take(file, self.offset + LOCAL_HEADER.size + sum(header[1:]), self.packed)
        if self.deflated:
            data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.size + 1)
        if len(data) != self.size or zlib.crc32(data) != self.crc:
            raise ValueError("its content is not what the archive declares")
        return data


def kind(path: str) -> str | None:
    """Return `zip`, `tar` or `compressed` by a file's content, or None for any other.

    A file whose name ends like a picture's is none.
    """
    if path.lower().endswith(PICTURES):
        return None
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  a pipe may never end
            return None
        with Path(path).open("rb") as file:
            start = file.read(BLOCK)
        if start.startswith(ZIPS):
            return "zip"
        if not start.startswith(tuple(COMPRESSIONS)):
            return "tar" if _is_tar(start) else None
        with _open(path) as file:
            return "compressed" if _is_tar(file.read(BLOCK)) else None
    except ModuleNotFoundError:
        return "compressed" if path.endswith((".tar.zst", ".tzst")) else None
    except Exception:
        return None  # whoever reads it as a picture says what is wrong


def members(path: str, limit: int) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each visible file in an archive, in its order.

    The content has a `read`, or is the bytes, or the `PictureError` that stands in their
    place; none has more than `limit` bytes. Folders, links and devices are passed over.
    Where the archive is broken it ends with an error under its own name.
    """
    try:
        form = kind(path)
        found = _zip(path, limit) if form == "zip" else _tar(path, limit, form == "compressed")
        for name, content in found:
            if not _is_hidden(name):
                yield f"{path}/{name.removeprefix('./')}", content
    except Exception as error:
        yield path, _fault(error)


def _tar(path: str, limit: int, compressed: bool) -> Iterator[tuple[str, Any]]:
    import tarfile

    with _open(path) as file:
        length = None if compressed else os.fstat(file.fileno()).st_size
        headers = _Headers(file)
        tar = tarfile.TarFile(fileobj=headers, encoding="utf-8")  # type: ignore[arg-type]
        place = 0
        while True:
            # `tar.next` would keep every header, and end where one is damaged.
            headers.restart(place)
            try:
                member = tarfile.TarInfo.fromtarfile(tar)
            except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
                break
            except tarfile.EmptyHeaderError as error:  # type: ignore[attr-defined]
                raise EOFError("it has no end mark and may be cut off") from error
            tar.pax_headers = {}  # the global ones, which would pile up
            if tar.offset <= place:
                raise tarfile.ReadError("a member of negative size")
            place, start, size = tar.offset, member.offset_data, member.size
            if not member.isreg():
                continue
            if member.issparse():
                yield member.name, PictureError("unsupported", "stored with holes in the tar file")
            elif length is not None and start + size > length:
                raise tarfile.ReadError(f"cut off inside {member.name!r}")
            elif size > limit:
                yield member.name, too_large(limit)
            elif length is not None or size > MAX_HELD:
                yield member.name, Member(path, start, size)
            else:
                yield member.name, _take(file, start, size)
        if compressed:
            file.read(MAX_END)  # the checksum comes last


def _zip(path: str, limit: int) -> Iterator[tuple[str, Any]]:
    import zipfile

    with zipfile.ZipFile(path) as archive:
        infos, end = archive.infolist(), archive.start_dir
    starts = sorted(info.header_offset for info in infos)
    # Of several at one place each ends where it starts.
    ends = dict(reversed([*zip(starts, [*starts[1:], end], strict=False)]))
    for info in infos:
        form = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not made on Unix
        if not info.is_dir() and form in (0, stat.S_IFREG):
            yield info.filename, _zip_content(path, info, ends[info.header_offset], limit)


def _zip_content(
    path: str, info: zipfile.ZipInfo, end: int, limit: int
) -> ZipMember | PictureError:
    if info.flag_bits & ENCRYPTED:
        return PictureError("unreadable", "encrypted; unpack the archive with its password first")
    if info.compress_type not in (STORED, DEFLATED):
        method = f"compressed by method {info.compress_type}; expected stored or deflated"
        return PictureError("unsupported", method)
    if max(info.file_size, info.compress_size) > limit:
        return too_large(limit)
    if info.header_offset + LOCAL_HEADER.size + info.compress_size > end:
        return PictureError("broken", "it overlaps with another member of the archive")
    deflated, packed = info.compress_type == DEFLATED, info.compress_size
    return ZipMember(path, info.header_offset, info.file_size, packed, info.CRC, deflated)


class _Headers:
    """A tar file as `tarfile` sees it, which would read headers of any length."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._left = file, MAX_HEADER
        self.seek, self.tell = file.seek, file.tell

    def restart(self, place: int) -> None:
        self._left = MAX_HEADER
        self.seek(place)

    def read(self, size: int) -> bytes:
        self._left -= size
        if size < 0 or self._left < 0:
            raise ValueError(f"a member with over {MAX_HEADER:,} bytes of headers")
        return self._file.read(size)


def _open(path: str) -> IO[bytes]:
    with Path(path).open("rb") as file:
        start = file.read(BLOCK)
    for magic, module in COMPRESSIONS.items():
        if start.startswith(magic):
            return importlib.import_module(module).open(path, "rb")  # type: ignore[no-any-return]
    return Path(path).open("rb")


def _take(file: IO[bytes], start: int, size: int) -> bytes:
    file.seek(start)
    data = file.read(size)
    if len(data) < size:
        raise EOFError("cut off")
    return data


def _is_tar(start: bytes) -> bool:
    import tarfile

    try:
        tarfile.TarInfo.frombuf(start, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True


def _is_hidden(name: str) -> bool:
    parts = {*name.split("/")} - {".", ".."}
    return any(part == "__MACOSX" or part.startswith(".") for part in parts)


def too_large(limit: int) -> PictureError:
    """Return the error of what has more bytes than are read."""
    return PictureError("too-large", f"over the limit of {limit:,} bytes")


def _fault(error: Exception) -> PictureError:
    if isinstance(error, ModuleNotFoundError):
        return PictureError("unsupported", "compressed by zstd, which Python reads from 3.14 on")
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        return PictureError("unreadable", f"cannot be read: {error.strerror}")
    return PictureError("broken", f"the archive is broken: {reason}")
