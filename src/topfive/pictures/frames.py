"""Which of the pictures in a file is meant: the whole one, not a thumbnail of it, and of an
animation the first that shows something."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from topfive.errors import PictureError
from topfive.pictures import heif_items

REDUCED = 0b101  # a thumbnail or a mask, of NewSubfileType (TIFF 6.0, section 8; tag 254)
MAX_DIRECTORIES = 64  # of a TIFF that are looked at
# An animation is looked through for so many frames and pixels, a second's work or less.
MAX_FRAMES, MAX_FRAME_PIXELS = 100, 50_000_000
SAMPLE = 512  # the side of what is looked at of a frame
BLANK = 16  # levels of 255: a frame whose colours differ less shows nothing


@dataclass(frozen=True)
class Directory:
    """A picture in a TIFF: where its description is, its width and height, whether it is only a
    smaller copy or a mask, and where the descriptions of its other sizes are."""

    place: int
    size: tuple[int, int]
    reduced: bool
    children: tuple[int, ...]
    following: int


def find_whole(
    picture: Image.Image, data: bytes, check: Callable[[tuple[int, int]], None]
) -> bytes:
    """Have an opened picture be the whole one among those in its file, or return the `data` that
    another must be opened from, in which it is the first. `check` may refuse its size.
    """
    if picture.format == "TIFF":
        return _whole_tiff(data)
    frames: list[tuple[int, int]] = []
    if picture.format == "MPO" and _is_mpo_thumbnail(picture):
        for number in range(min(getattr(picture, "n_frames", 1), MAX_DIRECTORIES)):
            picture.seek(number)
            frames.append(picture.size)
        picture.seek(frames.index(max(frames, key=_area)))
    elif picture.format in ("HEIF", "AVIF"):
        if found := heif_items.find_larger(data, picture.size):
            place, item, size = found
            check(size)
            return heif_items.name_primary(data, place, item)
    elif picture.format == "ICNS":
        best = max(picture.info["sizes"], key=lambda size: size[0] * size[2])
        icon: Any = picture
        icon.best_size = best
        icon.size = (best[0] * best[2], best[1] * best[2])
    return data


def show_something(picture: Image.Image) -> None:
    """Have an opened animation be at its first frame that is not of one colour, as far as it
    is looked through; at the first of all where none is found."""
    if picture.format not in ("GIF", "PNG", "WEBP", "AVIF"):
        return
    if picture.format != "GIF" and getattr(picture, "n_frames", 1) < 2:
        return
    limit = min(MAX_FRAMES, MAX_FRAME_PIXELS // max(1, _area(picture.size)))
    number = 0
    try:
        while _is_blank(picture):
            if number + 1 >= limit:
                raise EOFError
            number += 1
            picture.seek(number)
    except Exception:  # no more frames, or broken ones
        if number:
            picture.seek(0)


def _is_blank(picture: Image.Image) -> bool:
    picture.load()
    shown = picture
    if _area(picture.size) > SAMPLE * SAMPLE:  # in steps: what is to be seen is larger
        sides = min(picture.width, SAMPLE), min(picture.height, SAMPLE)
        shown = picture.resize(sides, Image.Resampling.NEAREST)
    if shown.has_transparency_data:
        shown = shown.convert("RGBA")
        if shown.getchannel("A").getextrema() == (0, 0):
            return True
        shown = Image.alpha_composite(Image.new("RGBA", shown.size, "white"), shown)
    return all(high - low < BLANK for low, high in _extrema(shown.convert("RGB")))


def _extrema(picture: Image.Image) -> list[tuple[int, int]]:
    found: Any = picture.getextrema()
    return list(found)


def _area(size: tuple[int, int]) -> int:
    return size[0] * size[1]


def _is_mpo_thumbnail(picture: Image.Image) -> bool:
    """Return whether the first picture of an MPO is a thumbnail (CIPA DC-007, section 5.2.3.3)."""
    entries = (getattr(picture, "mpinfo", None) or {}).get(0xB002) or [{}]
    return "Thumbnail" in str(entries[0].get("Attribute", {}).get("MPType", ""))


def _whole_tiff(data: bytes) -> bytes:
    """Return a TIFF that begins with its whole picture: where the first is a smaller copy or a
    mask the largest, and that among its other sizes which is larger."""
    big = data[2:3] == b"\x2b" or data[3:4] == b"\x2b"
    order = "<" if data[:1] == b"I" else ">"
    form = f"{order}Q" if big else f"{order}I"
    header = 8 if big else 4
    (place,) = struct.unpack_from(form, data, header)
    first = _read_directory(data, place, order, big)
    if first is None or not (first.reduced or first.children):
        return data
    found, waiting, seen = [], [first], {place}
    while waiting and len(seen) < MAX_DIRECTORIES:
        one = waiting.pop(0)
        found.append(one)
        # Later pages are others, unless this is none at all.
        places = (*one.children, one.following) if first.reduced else one.children
        for place in places:
            if place and place not in seen:
                seen.add(place)
                waiting += filter(None, [_read_directory(data, place, order, big)])
    whole = max(found, key=lambda one: (not one.reduced, _area(one.size)))
    if whole is first or (not first.reduced and _area(whole.size) <= _area(first.size)):
        return data
    return data[:header] + struct.pack(form, whole.place) + data[header + struct.calcsize(form) :]


def thumbnail_only(error: Exception) -> PictureError:
    """Return what is said where only a thumbnail of a picture can be read."""
    reason = " ".join(str(error).split()) or type(error).__name__
    what = "the whole picture cannot be read, only a smaller copy of it in the same file"
    return PictureError("unsupported", f"{what}; save it as TIFF, PNG or JPEG ({reason})")


def _read_directory(data: bytes, place: int, order: str, big: bool) -> Directory | None:
    """Return a description in a TIFF, None where it is not in the file.

    Source: TIFF 6.0, section 2; BigTIFF.
    """
    count_form, entry, inline, form = ("Q", 20, 8, "Q") if big else ("H", 12, 4, "I")
    try:
        (count,) = struct.unpack_from(order + count_form, data, place)
        start = place + struct.calcsize(count_form)
        values: dict[int, tuple[int, ...]] = {}
        for at in range(start, start + min(count, 4096) * entry, entry):
            tag, kind = struct.unpack_from(f"{order}2H", data, at)
            letter = {3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}.get(kind)
            if tag not in (254, 256, 257, 330) or letter is None:
                continue
            (length,) = struct.unpack_from(order + form, data, at + 4)
            length, where = min(length, MAX_DIRECTORIES), at + 4 + inline
            if length * struct.calcsize(letter) > inline:
                (where,) = struct.unpack_from(order + form, data, where)
            values[tag] = struct.unpack_from(f"{order}{length}{letter}", data, where)
        (following,) = struct.unpack_from(order + form, data, start + count * entry)
        size = values[256][0], values[257][0]
    except (struct.error, KeyError, IndexError):
        return None
    reduced = bool(values.get(254, (0,))[0] & REDUCED)
    return Directory(place, size, reduced, values.get(330, ()), following)
