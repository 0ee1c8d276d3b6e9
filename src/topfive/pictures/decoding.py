"""From bytes to an upright RGB picture.

Pillow reads the files; what it would do wrongly or dangerously is stopped or put right
here and in the two modules beneath: `formats` (what is opened at all) and `pixels`.
"""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.errors import PictureError
from topfive.pictures import dicom_display, dicom_header
from topfive.pictures.formats import MAX_SCANS, count_scans, open_picture
from topfive.pictures.pixels import Window, is_deep, to_8_bits, to_rgb
from topfive.sources.source import MAX_PIXELS

__all__ = ["MAX_PIXELS", "allow_pixels", "decode", "from_array", "from_image"]

_PASS_OVER = ("ignore", None, Warning, re.compile(r"(PIL|pi_heif|pydicom)\b"), 0)


def allow_pixels(max_pixels: int) -> None:
    """Raise Pillow's own limit, which is the process's, where it is the lower one."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def decode(
    data: bytes,
    max_pixels: int = MAX_PIXELS,
    keras: bool = False,
    draft: int | None = None,
    window: Window | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the picture in `data` as RGB, upright, transparency over white, and the whole
    picture's width and height.

    Of several (animations, pages, layers) it is the first, or the one the file puts first.
    With `keras` as Keras's `load_img` does it: only `convert("RGB")`. A `window` tells the
    values that become black and white in grey of more than 8 bits (see `pixels.to_rgb`), with
    `keras` too, and in DICOM (see `dicom_display.to_picture`), which Keras does not read. With
    `draft` a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as both
    sides keep that many pixels.

    Raises:
        PictureError: empty, not a picture, broken, too large (in pixels or JPEG scans).
    """
    if not data:
        raise PictureError("empty", "the file is empty")
    if data[:2] == b"\xff\xd8" and count_scans(data) > MAX_SCANS:
        raise PictureError("too-large", f"a JPEG with over {MAX_SCANS} scans is refused")
    allow_pixels(max_pixels)
    with _guarded(max_pixels):
        if dicom_header.is_dicom(data):
            header = dicom_header.open_header(data)
            _check_size(header.size, max_pixels)
            picture = to_rgb(dicom_display.to_picture(header, window))
            return picture, picture.size
        picture = open_picture(data)
        whole = picture.size
        _check_size(whole, max_pixels)
        if draft is not None and picture.format == "JPEG":
            # What does not divide evenly moves the picture by a part of a pixel.
            parts = (part for part in (8, 4, 2) if not any(side % part for side in whole))
            part = next((part for part in parts if min(whole) >= part * draft), 1)
            picture.draft(None, (whole[0] // part, whole[1] // part))
    drafted = picture.size
    upright = from_image(picture, max_pixels, keras, window)
    if drafted == whole:
        return upright, upright.size
    return upright, whole if upright.size == drafted else (whole[1], whole[0])


def from_image(
    picture: Image.Image,
    max_pixels: int = MAX_PIXELS,
    keras: bool = False,
    window: Window | None = None,
) -> Image.Image:
    """Return a Pillow picture as upright RGB (itself where it is that already); see `decode`."""
    allow_pixels(max_pixels)
    _check_size(picture.size, max_pixels)
    with _guarded(max_pixels):
        picture.load()
    _check_size(picture.size, max_pixels)  # an icon's size is known only now
    with _guarded(max_pixels, "unsupported", f"pixels of mode {picture.mode} cannot be read"):
        if keras and not (window and is_deep(picture)):
            return picture if picture.mode == "RGB" else picture.convert("RGB")
        return to_rgb(picture, 1 if keras else _orientation(picture), window)


def from_array(
    array: NDArray[Any], max_pixels: int = MAX_PIXELS, window: Window | None = None
) -> Image.Image:
    """Return an array as an RGB picture.

    `array` is (height, width), or (height, width, channels) with 1 (grey), 2 (grey and
    alpha), 3 (RGB) or 4 (RGBA) channels: uint8 0..255, uint16 0..65535, float 0..1 or bool.
    With a `window` floats and integers of more than 8 bits may be any, of Hounsfield units
    say; what becomes black and white is told in the array's own values. Alpha stays as it is.

    Raises:
        PictureError: another shape, type or range; too large.
    """
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] > 4):
        raise PictureError(
            "unsupported",
            "expected an array of shape (height, width) or (height, width, 1 to 4); "
            f"received {array.shape}",
        )
    allow_pixels(max_pixels)
    _check_size((array.shape[1], array.shape[0]), max_pixels)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    with _guarded(max_pixels, "unsupported", "the array cannot be read"):
        return to_rgb(Image.fromarray(np.ascontiguousarray(to_8_bits(array, window))))


@contextlib.contextmanager
def _guarded(
    max_pixels: int, kind: str = "broken", what: str = "broken or cut off"
) -> Iterator[None]:
    """Turn whatever a decoder raises into a PictureError; pass over what it warns of.

    On broken files Pillow raises nearly everything that Python has.
    """
    # Not `warnings.catch_warnings`, which is not safe in threads: an entry of our own goes
    # in and out of the list, each in one step.
    filters = cast("list[object]", warnings.filters)
    filters.insert(0, _PASS_OVER)
    try:
        yield
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        message = f"over the limit of {max_pixels:,} pixels (--max-pixels)"
        raise PictureError("too-large", message) from error
    except MemoryError as error:
        raise PictureError("too-large", "there is not enough memory for it") from error
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise PictureError(kind, f"{what}: {reason}") from error
    finally:
        with contextlib.suppress(ValueError):  # gone, if somebody reset all filters meanwhile
            filters.remove(_PASS_OVER)


def _check_size(size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise PictureError(
            "too-large",
            f"{width:,} x {height:,} pixels are over the limit of {max_pixels:,} (--max-pixels)",
        )
    if width * height == 0:
        raise PictureError("empty", f"the picture has no pixels ({width} x {height})")


def _orientation(picture: Image.Image) -> int:
    try:
        value = picture.getexif().get(0x0112, 1)
    except Exception:  # broken metadata; the pixels are fine, and upright is the best guess
        return 1
    return value if isinstance(value, int) else 1
