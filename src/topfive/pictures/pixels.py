"""From any kind of pixel to 8-bit RGB: deep pixels scaled, transparency over white.
A plain `convert("RGB")` clips 16-bit and float pixels to white or black and drops
transparency; what it does right (CMYK, LAB, palettes) is left to it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.errors import PictureError
from topfive.pictures import alpha, bands
from topfive.pictures.colour import to_srgb
from topfive.pictures.orientation import turn
from topfive.pictures.profiles import find_profile

Window = tuple[float, float]  # the values that become black and white
Shade = Callable[[NDArray[Any]], NDArray[np.uint8]]

# Floats that were computed to lie in 0..1 miss it by their rounding, float16 by 0.0005.
TOLERANCE = 1e-3
PART = 1 << 20  # values that are computed at once, each in several times its own memory
PHOTOMETRIC, WHITE_IS_ZERO = 262, 0  # TIFF 6.0, section 4
BITS = 258
# What told how the pixels were meant, and would be taken for it again.
TOLD = ("icc_profile", "gamma", "chromaticity", "transparency", "exif", "Raw profile type exif")


def to_rgb(
    picture: Image.Image, orientation: int = 1, window: Window | None = None, smaller: int = 1
) -> Image.Image:
    """Return any Pillow mode as sRGB: deep pixels scaled, transparency over white, turned.

    Deep pixels are grey ones of more than 8 bits. Those of 16 bits are scaled from their full
    range. 32-bit numbers count as 8 bits where they lie in 0..255, integers as 16 bits within
    0..65535, floats as 0..1 within that; any other range is stretched from its least to its
    greatest value. A `window` replaces all that, see `windowed`; it is in the values that Pillow
    gives (of a PGM always those of 16 bits, see `deep_colour.own_values`). Of 16-bit colours, and
    of 16-bit grey with an alpha channel, Pillow reads the high bytes: see `deep_colour`, too.
    `smaller` averages it down to a half or a quarter of its size.
    """
    if smaller == 1 and is_plain(picture, orientation):
        return picture
    shade = _find_shade(picture, window) if is_deep(picture) else None
    if smaller == 1 and not bands.is_large(picture):
        result = turn(_convert(picture, shade, alpha.is_none(picture)), orientation)
    else:
        no_alpha = all(alpha.is_none(band) for _, band in bands.cut(picture))
        result = bands.convert(
            picture, lambda band: _convert(band, shade, no_alpha), orientation, smaller
        )
    if result is not picture:
        for key in TOLD:
            result.info.pop(key, None)
    return result


def is_plain(picture: Image.Image, orientation: int = 1) -> bool:
    """Return whether a picture is upright RGB as it is, by what its header says."""
    upright = picture.mode == "RGB" and orientation == 1
    return upright and not picture.has_transparency_data and not find_profile(picture)


def _convert(picture: Image.Image, shade: Shade | None, no_alpha: bool) -> Image.Image:
    profile = find_profile(picture)
    if no_alpha:
        picture = alpha.drop(picture)
    if shade:
        picture = _from_deep_grey(picture, shade)
    elif picture.mode == "La":
        picture = picture.convert("LA")
    if profile:
        picture = to_srgb(_with_alpha(picture), profile)
    if picture.has_transparency_data:
        picture = _over_white(picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def is_deep(picture: Image.Image) -> bool:
    """Return whether a picture has more than 8 bits a pixel: 16, or 32-bit numbers."""
    return picture.mode.startswith("I") or picture.mode == "F"


def windowed(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return numbers as uint8: `low` and below become 0, `high` and above 255.
    Between them `255 * (value - low) / (high - low)` is rounded, a half to the even number.
    Where `low` is `high`, what is above is white. What is not a number is black."""

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
    """Return what a function makes of an array's values; it is given some at a time."""
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
        return by_parts(_from_16_bits, array)
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
    return by_parts(_from_floats, array)


def _from_floats(values: NDArray[Any]) -> NDArray[np.uint8]:
    numbers: NDArray[np.float32] = np.clip(values.astype(np.float32), 0, 1)
    numbers *= 255
    return np.rint(numbers, out=numbers).astype(np.uint8)


def _from_16_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Return round(value / 257), in whole numbers: no memory for floats."""
    numbers = values.astype(np.uint32)
    numbers *= 255
    numbers += 32895
    numbers >>= 16
    return numbers.astype(np.uint8)


def _find_range(picture: Image.Image) -> tuple[float, float]:
    """Return the values that are black and white in 32-bit numbers, see `to_rgb`."""
    least, most = np.inf, -np.inf
    for _, band in bands.cut(picture):
        numbers = _as_floats(np.asarray(band))
        least, most = min(least, float(numbers.min())), max(most, float(numbers.max()))
    for white in (1.0, 255.0) if picture.mode == "F" else (255.0, 65535.0):
        if least >= 0 and most <= white:
            return 0.0, white
    return least, most


def _stretch(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    numbers = _as_floats(values)
    numbers -= low
    numbers *= 255 / (high - low) if high > low else 0.0
    return np.rint(numbers, out=numbers).astype(np.uint8)


def _as_floats(values: NDArray[Any]) -> NDArray[np.float64]:
    numbers = values.astype(np.float64)
    return np.nan_to_num(numbers, copy=False, posinf=0.0, neginf=0.0)


def _white(picture: Image.Image) -> int | None:
    """Return the value of white where the format tells it, of what has 9 to 16 bits."""
    bits = getattr(picture, "tag_v2", {}).get(BITS, (16,))[0]  # a TIFF
    if picture.mode in ("I", "F") and picture.format != "PPM":  # Pillow scales these to 16 bits
        return None
    return 2**bits - 1 if 8 < bits < 16 else 65535


def _find_shade(picture: Image.Image, window: Window | None) -> Shade:
    """Return what makes shades of 8 bits of a deep picture's values, of some or all of them."""
    shade: Shade = _from_16_bits
    white = _white(picture)
    if window:
        shade = partial(windowed, low=window[0], high=window[1])
    elif white is None:
        low, high = _find_range(picture)
        shade = partial(_stretch, low=low, high=high)
    elif white != 65535:
        shade = partial(windowed, low=0, high=white)
    if getattr(picture, "tag_v2", {}).get(PHOTOMETRIC) == WHITE_IS_ZERO:  # a TIFF
        return lambda values: 255 - shade(values)  # Pillow does it for 8 bits
    return shade


def _from_deep_grey(picture: Image.Image, shade: Shade) -> Image.Image:
    values = np.asarray(picture)
    grey = Image.fromarray(shade(values))
    clear = picture.info.get("transparency")  # PNG's tRNS: one value, in 16 bits
    if isinstance(clear, int):
        grey.putalpha(Image.fromarray((values != clear).astype(np.uint8) * np.uint8(255)))
    return grey


def _over_white(picture: Image.Image) -> Image.Image:
    layer = _with_alpha(picture).convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")


def _with_alpha(picture: Image.Image) -> Image.Image:
    """Return a picture whose transparency is an alpha channel, if it has any."""
    if not picture.has_transparency_data or picture.mode in ("LA", "RGBA"):
        return picture
    clear = picture.info.get("transparency")
    if isinstance(clear, tuple) and max(clear) > 255:
        # A 16-bit PNG: Pillow keeps the high bytes of the pixels, but all of the colour.
        picture = picture.copy()
        picture.info["transparency"] = tuple(value >> 8 for value in clear)
    return picture.convert("LA" if picture.mode == "L" else "RGBA")
