"""Many pictures as one, each with lines of text under it, for a person to look through."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from topfive.errors import PictureError
from topfive.sources import archives, arguments, buckets
from topfive.sources.source import MAX_PIXELS, Source, from_object
from topfive.system.text import printable

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PAPER, FRAME, INK = (255, 255, 255), (238, 240, 243), (31, 41, 51)
# A line that begins so is marked by a colour, and by a shape that is drawn in a square of side 1.
RIGHT, WRONG = "✓ ", "✗ "
MARKS = {
    RIGHT: ((22, 101, 52), [[(0.0, 0.55), (0.3, 0.9), (0.9, 0.1)]]),
    WRONG: ((153, 27, 27), [[(0.05, 0.1), (0.85, 0.9)], [(0.85, 0.1), (0.05, 0.9)]]),
}
WIDTH = 320  # of a cell, in pixels
MAX_LINES = 2  # that a text is broken into
MAX_LETTERS = 200  # of a text that are looked at; more would not fit
# Pillow's own font knows ASCII alone. Where a system has one of these, other names can be read.
FONTS = ("DejaVuSans.ttf", "NotoSans-Regular.ttf", "Arial.ttf", "arial.ttf")


@dataclass(frozen=True)
class _Line:
    """A line's text and colour, the mark drawn before it, whether it leaves room for one."""

    text: str
    ink: tuple[int, int, int] = INK
    mark: str = ""
    indented: bool = False


def thumbnails(
    names: Collection[str], side: int, max_pixels: int = MAX_PIXELS
) -> dict[str, Image.Image]:
    """Return the pictures that the names of sources lead to: files, members of archives,
    objects in buckets. They are RGB, upright, at most `side` pixels wide and high; an empty
    frame where one cannot be read (again)."""
    found, members = {}, defaultdict[str, set[str]](set)
    for name in dict.fromkeys(names):
        if buckets.is_address(name):
            found[name] = _thumbnail(from_object(name), side, max_pixels)
        elif archive := _archive(name):
            members[archive].add(name)
        else:
            found[name] = _thumbnail(Source(name, Path(name)), side, max_pixels)
    for archive, wanted in members.items():
        for source in arguments.read([archive], unpack=True):
            if source.name in wanted:
                found[source.name] = _thumbnail(source, side, max_pixels)
    return {name: found.get(name) or _empty(side) for name in names}


def sheet(
    cells: Sequence[tuple[Image.Image, Sequence[str]]], *, columns: int = 4, width: int = WIDTH
) -> Image.Image:
    """Return pictures in a grid, row by row, each with its lines of text under it.

    A cell is `width` pixels wide and its picture's frame three quarters as high. A line that
    is too long is broken once and then cut off; one that begins with `RIGHT` or `WRONG` is
    marked so. Characters that do not print are spelled out. No cells are an empty sheet.
    """
    letter = max(11, width // 20)
    line_height, gap = round(1.4 * letter), letter
    columns = max(1, min(columns, len(cells)))
    fonts = [find_font(lines, letter) for _, lines in cells]
    wrapped = [
        [piece for line in lines for piece in _wrap(line, font, width, letter)]
        for (_, lines), font in zip(cells, fonts, strict=True)
    ]
    frame = (width, width * 3 // 4)
    heights = [
        frame[1] + gap // 2 + line_height * max(map(len, wrapped[start : start + columns]))
        for start in range(0, len(cells), columns)
    ]
    size = (gap + columns * (width + gap), gap + sum(heights) + gap * len(heights))
    drawn = Image.new("RGB", size, PAPER)
    drawing = ImageDraw.Draw(drawn)
    for number, (picture, _) in enumerate(cells):
        row, column = divmod(number, columns)
        left, top = gap + column * (width + gap), gap + sum(heights[:row]) + gap * row
        drawing.rectangle((left, top, left + frame[0] - 1, top + frame[1] - 1), fill=FRAME)
        small = fitted(picture, frame)
        middle = (left + (frame[0] - small.width) // 2, top + (frame[1] - small.height) // 2)
        drawn.paste(small, middle)
        for place, line in enumerate(wrapped[number]):
            corner = (left, top + frame[1] + gap // 2 + place * line_height)
            _write(drawing, corner, line, fonts[number], letter)
    return drawn


def fitted(picture: Image.Image, frame: tuple[int, int]) -> Image.Image:
    """Return a picture as RGB, whole, as large as a frame of (width, height) pixels allows."""
    scale = min(frame[0] / picture.width, frame[1] / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _archive(name: str) -> str | None:
    """Return the archive that a name leads into, None where it is a file's own."""
    if os.path.lexists(name):
        return None
    above = (name[:place] for place, sign in enumerate(name) if sign == "/" and place)
    return next(filter(archives.kind, above), None)


def _thumbnail(source: Source, side: int, max_pixels: int) -> Image.Image:
    from topfive.pictures import decoding

    try:
        picture, _ = decoding.decode(source.read(), max_pixels, draft=side, least=side)
    except PictureError:
        return _empty(side)
    return picture if max(picture.size) <= side else fitted(picture, (side, side))


def _empty(side: int) -> Image.Image:
    picture = Image.new("RGB", (side, side * 3 // 4), FRAME)
    drawing, font = ImageDraw.Draw(picture), ImageFont.load_default(max(11, side // 16))
    middle = (picture.width / 2, picture.height / 2)
    drawing.text(middle, "cannot be read", INK, font, anchor="mm")
    return picture


def _write(
    drawing: ImageDraw.ImageDraw, corner: tuple[int, int], line: _Line, font: Font, letter: int
) -> None:
    left, top = corner
    side = 0.75 * letter
    for points in MARKS[line.mark][1] if line.mark else ():
        drawn = [(left + x * side, top + letter * 0.25 + y * side) for x, y in points]
        drawing.line(drawn, line.ink, max(2, letter // 8), "curve")
    drawing.text((left + letter * line.indented, top), line.text, line.ink, font)


def _wrap(line: str, font: Font, width: int, letter: int) -> Iterator[_Line]:
    """Yield a line in pieces that fit."""
    mark = next(filter(line.startswith, MARKS), "")
    rest = printable(line.removeprefix(mark)[:MAX_LETTERS])
    piece = partial(_Line, ink=MARKS[mark][0] if mark else INK, indented=bool(mark))
    room = width - letter * bool(mark)
    for number in range(1, MAX_LINES + 1):
        tail = "…" if number == MAX_LINES else ""
        if font.getlength(rest) <= room:
            yield piece(rest, mark=mark)
            return
        fits = next(n for n in range(len(rest), -1, -1) if font.getlength(rest[:n] + tail) <= room)
        if not tail:
            # After a sign between words, if that leaves a piece worth a line.
            at = max(rest.rfind(sign, 0, fits) for sign in " _/-") + 1
            fits = at if at > fits // 2 else max(1, fits)
        yield piece(rest[:fits].rstrip() + tail, mark=mark)
        rest, mark = rest[fits:], ""


def find_font(lines: Sequence[str], size: int) -> Font:
    """Return a font in which lines can be read, `size` pixels high."""
    text = [printable(line.removeprefix(RIGHT).removeprefix(WRONG)) for line in lines]
    plain = all(map(str.isascii, text))
    for name in () if plain else FONTS:
        with suppress(OSError):
            return ImageFont.truetype(name, size)
    return ImageFont.load_default(size)
