"""Colours of more than 8 bits, of which Pillow gives the high bytes, read in full for a window."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from topfive.errors import PictureError
from topfive.pictures.pixels import Window, windowed

LARGEST = 25_000_000  # pixels; each takes sixteen bytes
# How the unpacker of the low bytes is called by that of the high ones.
_NATIVE = "L" if sys.byteorder == "little" else "B"
_OTHER = {"L": "B", "B": "L", "N": "B" if _NATIVE == "L" else "L"}
_READABLE = re.compile(r"(RGB|RGBA|RGBX|LA|R|G|B|A);16([LBN])")
BITS, PLANES, APART = 258, 284, 2  # TIFF 6.0, PlanarConfiguration
_AV1_DEPTH = re.compile(rb"av1C\x81.(.)", re.DOTALL)


def has_deep_colours(picture: ImageFile.ImageFile) -> bool:
    """Return whether a picture that is not loaded has colours of more than 8 bits, as far as
    Pillow tells."""
    if picture.format == "PPM" and picture.mode == "RGB":
        arguments: Any = picture.tile[0][3] if picture.tile else ()
        return isinstance(arguments, tuple) and arguments[-1] > 255
    return _raw_mode(picture) is not None


def is_deep_colour(picture: ImageFile.ImageFile, data: bytes) -> bool:
    """Return whether an opened picture's colours have more than 8 bits in its file."""
    if has_deep_colours(picture):
        return True
    if picture.format == "JPEG2000" and not picture.mode.startswith("I"):
        return _jpeg_2000_depth(data) > 8
    if picture.format == "SGI":
        return data[3] == 2
    if picture.format == "AVIF":
        return any(found[0] & 0x40 for found in _AV1_DEPTH.findall(data[: 1 << 16]))
    return picture.format == "HEIF" and picture.info.get("bit_depth", 8) > 8


def find_odd_bits(data: bytes) -> int | None:
    """Return the bits of a sample in a TIFF that has 9 to 15 of them, None for any other file."""
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return None
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags, file = ImageFileDirectory_v2(data[:8]), io.BytesIO(data)
    file.seek(tags.next)
    tags.load(file)
    return next((bits for bits in tags.get(BITS, ()) if 8 < bits < 16), None)


def own_values(picture: ImageFile.ImageFile, data: bytes, window: Window) -> Window:
    """Return a window that is in an opened picture's own values in those that Pillow makes of
    them: it scales grey of 9 to 15 bits to 16 in PGM and JPEG 2000."""
    factor = 1.0
    if picture.format == "PPM" and picture.mode == "I":
        arguments: Any = picture.tile[0][3]
        if picture.tile[0][0] in ("ppm", "ppm_plain"):
            factor = 65535 / arguments[-1]
    elif picture.format == "JPEG2000" and picture.mode == "I;16":
        factor = 2.0 ** (16 - _jpeg_2000_depth(data))
    return window[0] * factor, window[1] * factor


def _jpeg_2000_depth(data: bytes) -> int:
    """Return the bits of the first component. Source: ITU-T T.800, A.5.1."""
    return (data[data.index(b"\xff\x4f\xff\x51") + 42] & 0x7F) + 1


def tell_planes(picture: ImageFile.ImageFile) -> None:
    """Have Pillow read the planes of 16 bits of an opened TIFF as such; it takes them for 8."""
    tags: Any = getattr(picture, "tag_v2", {})
    if tags.get(PLANES) == APART and set(tags.get(BITS, ())) == {16} and picture.mode in (
        "RGB", "RGBA"
    ):  # fmt: skip
        order = "L" if tags.prefix == b"II" else "B"
        _rename(picture, lambda name: f"{name};16{order}" if name in "RGBA" else name)


def read_windowed(
    open_again: Callable[[], ImageFile.ImageFile], picture: ImageFile.ImageFile, window: Window
) -> Image.Image:
    """Return an opened picture of deep colours as RGB or RGBA of 8 bits, in a window that is in
    its own values, loaded; its `info` is kept.

    Raises:
        PictureError: its values cannot be read, or it is too large for it.
    """
    found = _READABLE.fullmatch(_raw_mode(picture) or "")
    if found is None:
        what = f"a window cannot be used on colours of more than 8 bits in {picture.format}"
        raise PictureError("unsupported", f"{what}; save it as PNG or TIFF, or leave --window out")
    if picture.width * picture.height > LARGEST:
        what = f"a window on colours of 16 bits is used up to {LARGEST:,} pixels"
        raise PictureError("too-large", f"{what}; received {picture.width:,} x {picture.height:,}")
    grey = found[1] == "LA"  # read as four bytes a pixel: both, high and low
    second = open_again()
    if not grey:
        _rename(second, lambda name: name[:-1] + _OTHER[name[-1]])
    else:
        for one in (picture, second):
            one.tile = [one.tile[0]._replace(args="RGBA")]
    picture.load()
    second.load()
    high, below = np.asarray(picture), np.asarray(second)
    if grey:
        high, below = high[:, :, 0::2], high[:, :, 1::2]
    clear = picture.info.get("transparency")
    rows = [
        _window_row(upper, lower, clear, window) for upper, lower in zip(high, below, strict=True)
    ]
    result = Image.fromarray(np.stack(rows))
    result.info = {key: one for key, one in picture.info.items() if key != "transparency"}
    result.format = picture.format
    return result


def _window_row(
    high: NDArray[np.uint8], low: NDArray[np.uint8], clear: object, window: Window
) -> NDArray[np.uint8]:
    values = high.astype(np.uint16) << 8 | low
    if values.shape[-1] in (2, 4):
        return np.concatenate([windowed(values[:, :-1], *window), high[:, -1:]], axis=1)
    shades = windowed(values, *window)
    if not isinstance(clear, tuple):
        return shades
    opaque = (values != clear).any(axis=1, keepdims=True).astype(np.uint8) * np.uint8(255)
    return np.concatenate([shades, opaque], axis=1)


def _rename(picture: ImageFile.ImageFile, change: Callable[[str], str]) -> None:
    """Change the names of the unpackers of an opened picture."""
    tiles = []
    for tile in picture.tile:
        arguments: Any = tile[3]
        if isinstance(arguments, str):
            arguments = change(arguments)
        else:
            arguments = (change(arguments[0]), *arguments[1:])
        tiles.append(tile._replace(args=arguments))
    picture.tile = tiles


def _raw_mode(picture: ImageFile.ImageFile) -> str | None:
    """Return the name of the unpacker where it is one of 16 bits a colour."""
    if not picture.tile or picture.mode.startswith("I"):
        return None
    arguments: Any = picture.tile[0][3]
    name = arguments if isinstance(arguments, str) else (arguments or ("",))[0]
    return name if isinstance(name, str) and ";16" in name else None
