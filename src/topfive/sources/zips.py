"""The files in a zip archive, by its table, their names as their maker meant them."""

from __future__ import annotations

import posixpath
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from topfive.errors import PictureError
from topfive.sources.left_out import LeftOut
from topfive.sources.members import LOCAL_HEADER, ZipMember, too_large
from topfive.system.files import open_regular

if TYPE_CHECKING:
    import zipfile

STORED, DEFLATED, ENCRYPTED, UTF_8 = 0, 8, 1, 0x800
UNICODE_PATH = 0x7075
LONGEST = 4096  # bytes of where a link leads
MAX_LINKS = 8  # one after the other


def find(path: str, limit: int, left_out: LeftOut) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each file in a zip, of links to them, too.

    Raises:
        Exception: whatever `zipfile` does where it is broken.
    """
    import zipfile

    with open_regular(path) as file, zipfile.ZipFile(file) as archive:
        infos, end = archive.infolist(), archive.start_dir
    starts = sorted(info.header_offset for info in infos)
    # Of several at one place each ends where it starts.
    ends = dict(reversed([*zip(starts, [*starts[1:], end], strict=False)]))
    named = {}
    if any(_is_link(info) for info in infos):
        named = {posixpath.normpath(read_name(info)): info for info in infos}
    for number, info in enumerate(infos, 1):
        name = read_name(info) or f"(without a name, the file {number})"
        form = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not made on Unix
        if name.endswith("/") or form == stat.S_IFDIR:
            continue
        if form in (0, stat.S_IFREG):
            yield name, _content(path, info, ends[info.header_offset], limit)
        elif (target := _follow(path, info, name, named, ends)) is not None:
            yield name, _content(path, target, ends[target.header_offset], limit)
        else:
            what = "links to what is no file in the archive" if _is_link(info) else "devices"
            left_out[what] += 1


def read_name(info: zipfile.ZipInfo) -> str:
    """Return a member's name with `/` between its folders.

    Without the flag for UTF-8 it is that of Info-ZIP's extra field, else UTF-8 where it is that,
    else the code page of DOS. Source: APPNOTE 6.3.10, 4.4.4 and 4.6.9.
    """
    name = info.filename
    if not info.flag_bits & UTF_8:
        raw = info.orig_filename.encode("cp437", "replace")
        name = _unicode_path(info.extra, raw) or _decode(raw)
        name = name.partition("\0")[0]
    # As `unzip` does: of a name that has no other, it is Windows's.
    return name if "/" in name else name.replace("\\", "/")


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("cp437")


def _unicode_path(extra: bytes, raw: bytes) -> str | None:
    while len(extra) >= 4:
        kind, length = struct.unpack_from("<2H", extra)
        field, extra = extra[4 : 4 + length], extra[4 + length :]
        is_name = kind == UNICODE_PATH and field[:1] == b"\1" and len(field) > 5
        if is_name and field[1:5] == struct.pack("<I", zlib.crc32(raw)):
            return field[5:].decode("utf-8", "replace")
    return None


def _is_link(info: zipfile.ZipInfo) -> bool:
    return stat.S_ISLNK(info.external_attr >> 16)


def _follow(
    path: str,
    info: zipfile.ZipInfo | None,
    name: str,
    named: dict[str, zipfile.ZipInfo],
    ends: dict[int, int],
) -> zipfile.ZipInfo | None:
    """Return the file that a link leads to, None where it leads to none."""
    for _ in range(MAX_LINKS):
        if info is None or not _is_link(info):
            break
        content = _content(path, info, ends[info.header_offset], LONGEST)
        try:
            target = "" if isinstance(content, PictureError) else content.read().decode()
        except (PictureError, ValueError):
            target = ""
        if not target:
            return None
        name = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        info = named.get(name)
    if info is None or info.filename.endswith("/"):
        return None
    return info if stat.S_IFMT(info.external_attr >> 16) in (0, stat.S_IFREG) else None


def _content(path: str, info: zipfile.ZipInfo, end: int, limit: int) -> ZipMember | PictureError:
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
