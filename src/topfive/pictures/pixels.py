"""From any kind of pixel to 8-bit RGB: deep pixels scaled, transparency over white.

A plain `convert("RGB")` clips 16-bit and float pixels to white or black and drops
transparency; what it does right (CMYK, LAB, palettes) is left to it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.errors import PictureError

Window = tuple[float, float]  # the values that become black and white

WHITE = (255, 255, 255, 255)
# Floats that were computed to lie in 0..1 miss it by their rounding, float16 by 0.0005.
TOLERANCE = 1e-3
PART = 1 << 20  # values that are computed at once, each in several times its own memory
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF 6.0, section 4

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF 2.32, tag 0x0112


def to_rgb(picture: Image.Image, orientation: int = 1, window: Window | None = None) -> Image.Image:
    """Return any Pillow mode as RGB: deep pixels scaled, transparency over white, turned.

    Deep pixels are grey ones of more than 8 bits. Those of 16 bits are scaled from their full
    range. 32-bit numbers count as 8 bits where they lie in 0..255, integers as 16 bits within
    0..65535, floats as 0..1 within that; any other range is stretched from its least to its
    greatest value. A `window` replaces all that, see `windowed`; it is in the picture's own
    values (a PGM's are those of 16 bits, whatever its white). Of 16-bit colours, and of 16-bit
    grey with an alpha channel, Pillow reads the high bytes: they are pictures of 8 bits.
    """
    if is_deep(picture):
        picture = _from_deep_grey(picture, window)
    elif picture.mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        picture = _over_white(picture)
    if picture.mode != "RGB":
        picture = picture.convert("RGB")
    turn = _TURNS.get(orientation)
    return picture if turn is None else picture.transpose(turn)


def is_deep(picture: Image.Image) -> bool:
    """Return whether a picture has more than 8 bits a pixel: 16, or 32-bit numbers."""
    return picture.mode.startswith("I") or picture.mode == "F"


def windowed(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return numbers as uint8: `low` and below become 0, `high` and above 255.

    Between them `255 * (value - low) / (high - low)` is rounded, a half to the even number.
    Where `low` is `high`, what is above is white. What is not a number is black.
    """

    def shade(part: NDArray[Any]) -> NDArray[np.uint8]:
        numbers = np.nan_to_num(part.astype(np.float64), copy=False, nan=low)
        if low == high:
            return (numbers > low).astype(np.uint8) * np.uint8(255)
        np.clip(numbers, low, high, out=numbers)
        numbers -= low
        numbers *= 255
        numbers /= high - low
        return np.rint(numbers, out=numbers).astype(np.uint8)

    return by_parts(shade, values)


def by_parts(
    shade: Callable[[NDArray[Any]], NDArray[np.uint8]], values: NDArray[Any]
) -> NDArray[np.uint8]:
    """Return what a function makes of each of an array's values, in its shape; it is given
    some at a time, so that what it needs itself is little."""
    flat = values.reshape(-1)
    result = np.empty(flat.size, np.uint8)
    for start in range(0, flat.size, PART):
        result[start : start + PART] = shade(flat[start : start + PART])
    return result.reshape(values.shape)


def to_8_bits(array: NDArray[Any], window: Window | None = None) -> NDArray[np.uint8]:
    """Return uint8 0..255, uint16 0..65535, float 0..1 or bool as uint8 of the same shape.

    With a `window`, in the array's own values, floats and integers of more than 8 bits may be
    any, see `windowed`; the last of 2 or 4 channels is alpha, which stays as it is.

    Raises:
        PictureError: another type or range.
    """
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(255)
    if array.dtype == np.uint8:
        return array.astype(np.uint8, copy=False)
    if window and (array.dtype.kind == "f" or (array.dtype.kind in "iu" and array.itemsize > 1)):
        if array.ndim < 3 or array.shape[2] % 2:
            return windowed(array, *window)
        parts = [windowed(array[:, :, :-1], *window), to_8_bits(array[:, :, -1:])]
        return np.concatenate(parts, axis=2)
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:  # in either byte order
        return _from_16_bits(array)
    if array.dtype.kind != "f":
        raise PictureError(
            "unsupported",
            f"expected an array of uint8, uint16, bool or float 0..1; received {array.dtype}",
        )
    low, high = float(array.min()), float(array.max())
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):
        raise PictureError(
            "unsupported",
            f"expected a float array within 0..1; received {low:g}..{high:g} "
            "(divide by its white, or convert to uint8)",
        )
    numbers: NDArray[np.float32] = np.clip(array.astype(np.float32), 0, 1)
    numbers *= 255
    return np.rint(numbers, out=numbers).astype(np.uint8)


def _from_16_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return round(value / 257), in whole numbers: no memory for floats."""
    numbers = values.astype(np.uint32)
    numbers *= 255
    numbers += 32895
    numbers >>= 16
    return numbers.astype(np.uint8)


def _stretched(values: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = np.nan_to_num(values.astype(np.float64), copy=False, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min()), float(numbers.max())
    for white in (1.0, 255.0) if values.dtype.kind == "f" else (255.0, 65535.0):
        if low >= 0 and high <= white:
            low, high = 0.0, white
            break
    numbers -= low
    numbers *= 255 / (high - low) if high > low else 0.0
    return np.rint(numbers, out=numbers).astype(np.uint8)


def _from_deep_grey(picture: Image.Image, window: Window | None) -> Image.Image:
    values = np.asarray(picture)
    if window:
        shades = windowed(values, *window)
    else:
        shades = _stretched(values) if picture.mode in ("I", "F") else _from_16_bits(values)
    grey = Image.fromarray(shades)
    if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:  # a TIFF
        grey = grey.point(lambda shade: 255 - shade)  # Pillow does it for 8 bits
    clear = picture.info.get("transparency")  # PNG's tRNS: one value, in 16 bits
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray((values != clear).astype(np.uint8) * np.uint8(255)))
    return grey


def _over_white(picture: Image.Image) -> Image.Image:
    clear = picture.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:
        # A 16-bit PNG: Pillow keeps the high bytes of the pixels, but all of the colour.
        picture = picture.copy()
        picture.info["transparency"] = tuple(value >> 8 for value in clear)
    layer = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, WHITE), layer).convert("RGB")
