"""Which picture of a HEIC or AVIF is the largest; the file names one as its primary.

Source: ISO/IEC 14496-12, section 8.11, and ISO/IEC 23008-12, section 6.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

PICTURES = (b"hvc1", b"av01", b"grid", b"iden", b"iovl")
MAX_ITEMS = 4096
HIDDEN = 1

Size = tuple[int, int]
Box = tuple[bytes, int, int]  # its kind, where its content begins, and where it ends


def find_larger(data: bytes, like: Size) -> tuple[int, int, Size] | None:
    """Return where a file names its primary picture, which other one of the same shape is the
    largest, and its size; None where none is larger than that."""
    try:
        return _find_larger(data, like)
    except (struct.error, LookupError, ValueError):
        return None


def _find_larger(data: bytes, like: Size) -> tuple[int, int, Size] | None:
    (meta,) = [box for box in _boxes(data, 0, len(data)) if box[0] == b"meta"]
    parts = {kind: (start, end) for kind, start, end in _boxes(data, meta[1] + 4, meta[2])}
    wide = data[parts[b"pitm"][0]] > 0
    place = parts[b"pitm"][0] + 4
    primary, _ = _number(data, place, wide)
    shown = set(_read_shown(data, *parts[b"iinf"]))
    if b"iref" in parts:
        shown -= set(_read_parts(data, *parts[b"iref"]))
    sizes = _read_sizes(data, *parts[b"iprp"])
    like = sizes.get(primary, like)  # before it is turned
    ratio = like[0] / like[1]
    found = [
        (sizes[item][0] * sizes[item][1], item)
        for item in shown & sizes.keys()
        # Other photographs of a burst are no sizes of this one.
        if item < 1 << (32 if wide else 16)
        and abs(sizes[item][0] / sizes[item][1] / ratio - 1) < 0.02
    ]
    area, item = max(found, default=(0, 0))
    return (place, item, sizes[item]) if area > like[0] * like[1] else None


def name_primary(data: bytes, place: int, item: int) -> bytes:
    """Return a file whose primary picture is another one."""
    form = ">I" if data[place - 4] else ">H"
    return data[:place] + struct.pack(form, item) + data[place + struct.calcsize(form) :]


def _boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    while start + 8 <= end:
        length, kind = struct.unpack_from(">I4s", data, start)
        head = 8
        if length == 1:
            (length,), head = struct.unpack_from(">Q", data, start + 8), 16
        length = length or end - start
        if length < head:
            raise ValueError(kind)
        yield kind, start + head, min(end, start + length)
        start += length


def _number(data: bytes, place: int, wide: int) -> tuple[int, int]:
    """Return a number of 32 bits or of 16, and what comes after it."""
    (number,) = struct.unpack_from(">I" if wide else ">H", data, place)
    return number, place + (4 if wide else 2)


def _read_shown(data: bytes, start: int, end: int) -> Iterator[int]:
    """Yield the items that are pictures to be shown."""
    for _, place, _ in _boxes(data, start + (8 if data[start] else 6), end):
        item, after = _number(data, place + 4, data[place] == 3)
        kind = data[after + 2 : after + 6]
        if data[place] in (2, 3) and kind in PICTURES and not data[place + 3] & HIDDEN:
            yield item


def _read_parts(data: bytes, start: int, end: int) -> Iterator[int]:
    """Yield the items that are opacity, depth, thumbnails or tiles of others."""
    wide = data[start]
    for kind, place, _ in _boxes(data, start + 4, end):
        item, place = _number(data, place, wide)
        if kind in (b"auxl", b"thmb"):
            yield item
        count, place = _number(data, place, False)
        for _ in range(min(count, MAX_ITEMS) if kind == b"dimg" else 0):
            item, place = _number(data, place, wide)
            yield item


def _read_sizes(data: bytes, start: int, end: int) -> dict[int, Size]:
    parts = {kind: (place, stop) for kind, place, stop in _boxes(data, start, end)}
    properties = list(_boxes(data, *parts[b"ipco"]))
    place = parts[b"ipma"][0]
    version, wide = data[place], data[place + 3] & 1
    (count,) = struct.unpack_from(">I", data, place + 4)
    place += 8
    sizes = {}
    for _ in range(min(count, MAX_ITEMS)):
        item, place = _number(data, place, version)
        several, place = data[place], place + 1
        for _ in range(several):
            number = int.from_bytes(data[place : place + 1 + wide], "big") & (
                0x7FFF if wide else 0x7F
            )
            place += 1 + wide
            if 0 < number <= len(properties) and properties[number - 1][0] == b"ispe":
                width, height = struct.unpack_from(">II", data, properties[number - 1][1] + 4)
                if width and height:
                    sizes[item] = width, height
    return sizes
