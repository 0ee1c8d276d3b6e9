"""How much memory it takes to decode a picture, told from its header.

What Pillow's decoders take beside the picture itself was measured (Pillow 12, pi-heif 1.4), in
bytes a pixel of 25 megapixels. A progressive JPEG's coefficients and a TIFF's strip are counted.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from PIL import ImageFile

from topfive.errors import PictureError
from topfive.pictures.frames import MAX_FRAME_PIXELS

BYTES_A_PIXEL = 5.2  # of the most pixels that are allowed; a photograph takes 4
LEAST_LIMIT = 520_000_000
SLACK = 4_000_000  # bytes: strips that are converted, the square

_BYTES = {"1": 1, "L": 1, "P": 1}  # of a pixel in Pillow's memory; 2 in 16 bits, else 4
_BESIDE = {"WEBP": 12.1, "AVIF": 8.0, "HEIF": 6.0, "SGI": 6.0, "QOI": 4.0}
_NO_MORE = ("PNG", "BMP", "DIB", "PPM", "TGA", "PCX", "IM", "GIF")
_OTHERS = 8.0  # formats that were not measured
_ANIMATED = 8.0  # a frame and the one before
_JPEG2000 = 5.2  # for each of its colours, of a tile
_DEEP_COLOUR, _DICOM = 16, 9
_STRIP, _TILE_WIDTH, _TILE_HEIGHT, _SAMPLES, _BITS, _TURNED = 278, 322, 323, 277, 258, 274
_LATE = (b"eXIf", b"tRNS", b"iCCP", b"gAMA", b"zTXt", b"tEXt", b"iTXt")
_INSIDE = re.compile(rb"IHDR(.{8})", re.DOTALL)  # of a PNG in an icon


@dataclass(frozen=True)
class Way:
    """A way to decode a picture: at 1, 1/2, 1/4 or 1/8 of its size, converted at 1, 1/2 or 1/4 of
    that, and the bytes that it takes beside the file's."""

    decoded: int
    converted: int
    bytes: int


def find_way(
    picture: ImageFile.ImageFile,
    data: bytes,
    max_pixels: int,
    least: int | None = None,
    plain: bool = False,
    decoded: int = 1,
) -> Way:
    """Return the way to decode an opened picture that is the whole, or at least the largest, of
    those that stay within the limit.

    A JPEG or JPEG 2000 can be decoded at a part of its size, from `decoded` on. No side becomes
    shorter than `least`; where that is None it stays whole. A `plain` picture is used as decoded.

    Raises:
        PictureError: it takes more in any way.
    """
    limit, ways = limit_of(max_pixels), []
    parts = (1, 2, 4, 8) if picture.format in ("JPEG", "JPEG2000") else (1,)
    for part in (part for part in parts if part >= decoded):
        size = [-(-side // part) for side in picture.size]
        if part > decoded and (least is None or min(size) < least):
            break
        taken = _decoded(picture, data, size[0] * size[1])
        for smaller in (1,) if plain else (1, 2, 4):
            if smaller > 1 and (least is None or min(size) < smaller * least):
                break
            result = 0 if plain else 4 * size[0] * size[1] / smaller**2
            ways.append(Way(part, smaller, round(taken + result) + SLACK))
            if len(data) + ways[-1].bytes <= limit:
                return ways[-1]
    raise _too_large(len(data) + min(way.bytes for way in ways), limit)


def check_dicom(pixels: int, data: bytes, max_pixels: int) -> int:
    """Return how many bytes a DICOM file's picture takes beside its `data`.

    Raises: see `find_way`.
    """
    return _check(_DICOM * pixels, data, max_pixels)


def check_deep_colour(pixels: int, data: bytes, max_pixels: int) -> int:
    """Return how many bytes a picture takes that is read twice, for a window in deep colours.

    Raises: see `find_way`.
    """
    return _check(_DEEP_COLOUR * pixels, data, max_pixels)


def limit_of(max_pixels: int) -> int:
    """Return the bytes that one picture may take, with its file."""
    return max(LEAST_LIMIT, round(BYTES_A_PIXEL * max_pixels))


def has_late_chunks(data: bytes) -> bool:
    """Return whether a PNG tells behind its pixels how they are meant."""
    at, pixels = 8, False
    while len(data) >= at + 8:
        name = data[at + 4 : at + 8]
        if pixels and name in _LATE:
            return True
        pixels = pixels or name == b"IDAT"
        at += 12 + int.from_bytes(data[at : at + 4])
    return False


def _check(needed: int, data: bytes, max_pixels: int) -> int:
    limit = limit_of(max_pixels)
    if len(data) + needed > limit:
        raise _too_large(len(data) + needed, limit)
    return needed


def _too_large(needed: int, limit: int) -> PictureError:
    takes = f"decoding it takes {needed / 1e6:,.0f} MB of memory"
    return PictureError(
        "too-large",
        f"{takes}, over the limit of {limit / 1e6:,.0f} MB "
        f"({BYTES_A_PIXEL} bytes for each of --max-pixels); make it smaller, or save it as JPEG",
    )


def _decoded(picture: Any, data: bytes, pixels: int) -> float:
    """Return the bytes of so many pixels in Pillow's memory, and of the decoder beside them."""
    own: float = _BYTES.get(picture.mode, 2 if picture.mode.startswith("I;") else 4) * pixels
    format: str = picture.format
    whole: int = picture.width * picture.height
    if format in ("ICO", "ICNS"):  # what is inside may be larger than said
        sizes = [(one[:4], one[4:]) for one in _INSIDE.findall(data)]
        inside = [int.from_bytes(width) * int.from_bytes(height) for width, height in sizes]
        return max(pixels, *inside, 0) * (_OTHERS + (25.0 if b"\xff\x4f\xff\x51" in data else 4.0))
    if format == "JPEG2000":
        share = pixels / whole
        return own + share * _jpeg_2000(data, whole, len(picture.getbands()))
    if format in ("JPEG", "MPO"):
        return own + (2.0 * _samples(picture) * whole if "progressive" in picture.info else 0.0)
    if format == "TIFF":
        turned = own if picture.tag_v2.get(_TURNED, 1) != 1 else 0.0
        return own + _strip(picture) + turned
    if format in ("GIF", "PNG") and getattr(picture, "n_frames", 1) > 1:
        return own + (_ANIMATED * pixels if pixels <= MAX_FRAME_PIXELS else 0.0)
    beside = 0.0 if format in _NO_MORE else _BESIDE.get(format, _OTHERS)
    if format == "HEIF" and picture.info.get("bit_depth", 8) > 8:
        beside *= 2
    return own + beside * pixels


def _samples(picture: Any) -> float:
    """Return how many samples a JPEG's pixel has, its colours' parts counted."""
    layers = [(across, down) for _, across, down, _ in getattr(picture, "layer", ())]
    if not layers:
        return 4.0
    most = max(across for across, _ in layers) * max(down for _, down in layers)
    samples: int = sum(across * down for across, down in layers)
    return float(samples) / float(most)


def _strip(picture: Any) -> float:
    """Return the bytes of one strip or tile of a compressed TIFF, which is decoded at once."""
    if not picture.tile or picture.tile[0][0] != "libtiff":
        return 0.0
    tags = picture.tag_v2
    bits = tags.get(_BITS, (8,))
    width, height = picture.size
    rows = min(height, tags.get(_TILE_HEIGHT) or tags.get(_STRIP) or height)
    columns = tags.get(_TILE_WIDTH) or width
    pixel = max(4, sum(bits) / 8 if len(bits) > 1 else bits[0] / 8 * tags.get(_SAMPLES, 1))
    return float(rows * columns * pixel)


def _jpeg_2000(data: bytes, pixels: int, bands: int) -> float:
    """Source: ITU-T T.800, A.5.1: the SIZ marker, which says how large a tile is."""
    start = data.find(b"\xff\x4f\xff\x51")
    tile = data[start + 24 : start + 32]
    area = int.from_bytes(tile[:4]) * int.from_bytes(tile[4:]) if start >= 0 else pixels
    return _JPEG2000 * bands * min(area or pixels, pixels)
