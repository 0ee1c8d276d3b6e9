"""From bytes to an upright RGB picture.
What Pillow would do wrongly or dangerously is put right here, in `formats` and in `pixels`."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Iterator
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from topfive.errors import PictureError
from topfive.pictures import (
    alpha,
    dicom_display,
    dicom_header,
    footprint,
    frames,
    orientation,
    profiles,
)
from topfive.pictures.bands import TURNED, is_large
from topfive.pictures.deep_colour import (
    find_odd_bits,
    has_deep_colours,
    is_deep_colour,
    own_values,
    read_windowed,
    tell_planes,
)
from topfive.pictures.formats import MAX_SCANS, count_scans, open_picture
from topfive.pictures.pixels import Window, is_deep, is_plain, to_8_bits, to_rgb
from topfive.sources.source import MAX_PIXELS
from topfive.system.memory import PICTURES, Claim

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
    least: int | None = None,
    claim: Claim | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Return the picture in `data`, upright RGB over white, and the whole one's width and height.

    Of several pages or layers it is the first, but never a thumbnail of another; of an
    animation the first frame that shows something (see `frames`). Colours are brought to sRGB.
    With `keras` as Keras's `load_img` does it: only `convert("RGB")`. A `window` tells the
    values that become black and white in pictures of more than 8 bits (see `pixels.to_rgb`),
    with `keras` too, and in DICOM (see `dicom_display.to_picture`), which Keras does not read.
    A JPEG may be decoded at 1/2, 1/4 or 1/8 of its size if both sides keep at least `draft` pixels;
    any picture may be made smaller if both keep `least` and it would take too much memory (see
    `footprint`). What it takes is claimed before it is decoded.

    Raises:
        PictureError: empty, not a picture, broken, too large (in pixels, bytes or JPEG scans).
    """
    if claim is None:
        with PICTURES.claim() as claim:
            return decode(data, max_pixels, keras, draft, window, least, claim)
    if not data:
        raise PictureError("empty", "the file is empty")
    if data[:2] == b"\xff\xd8" and count_scans(data) > MAX_SCANS:
        raise PictureError("too-large", f"a JPEG with over {MAX_SCANS} scans is refused")
    with _guarded(max_pixels):
        if dicom_header.is_dicom(data):
            header = dicom_header.open_header(data)
            _check_size(header.size, max_pixels)
            pixels = header.size[0] * header.size[1]
            claim.take_for_making(footprint.check_dicom(pixels, data, max_pixels))
            picture = to_rgb(dicom_display.to_picture(header, window))
            return picture, picture.size
        picture = _open(data, max_pixels, keras)
        whole = picture.size
        if not keras:
            alpha.complete(picture, data)
            profiles.complete(picture, data)
        if window and is_deep_colour(picture, data):
            pixels = whole[0] * whole[1]
            claim.take_for_making(footprint.check_deep_colour(pixels, data, max_pixels))
            colours = read_windowed(lambda: _open(data, max_pixels, keras), picture, window)
            turned = 1 if keras else orientation.find_orientation(picture)
            upright = colours.convert("RGB") if keras else to_rgb(colours, turned)
            return upright, upright.size
        if window:
            window = own_values(picture, data, window)
        part = 1
        if draft is not None and picture.format == "JPEG":
            # What does not divide evenly moves the picture by a part of a pixel.
            parts = (part for part in (8, 4, 2) if not any(side % part for side in whole))
            part = next((part for part in parts if min(whole) >= part * draft), 1)
        plain = picture.mode == "RGB" if keras else _is_plain(picture, data)
        way = footprint.find_way(picture, data, max_pixels, least, plain, part)
        claim.take_for_making(way.bytes)
        if not keras:
            frames.show_something(picture)
        if picture.format == "JPEG":
            picture.draft(None, (whole[0] // way.decoded, whole[1] // way.decoded))
        elif picture.format == "JPEG2000" and way.decoded > 1:
            setattr(picture, "reduce", way.decoded.bit_length() - 1)  # noqa: B010
    upright, turned = _make_upright(picture, max_pixels, keras, window, way.converted)
    if way.decoded == way.converted == 1:
        return upright, upright.size
    return upright, (whole[1], whole[0]) if turned in TURNED else whole


def from_image(
    picture: Image.Image,
    max_pixels: int = MAX_PIXELS,
    keras: bool = False,
    window: Window | None = None,
) -> Image.Image:
    """Return a Pillow picture as upright RGB (itself where it is that already); see `decode`."""
    if window and isinstance(picture, ImageFile.ImageFile) and has_deep_colours(picture):
        what = "a window cannot be used on a PIL.Image of 16-bit colours, which has 8 when loaded"
        raise PictureError("unsupported", f"{what}; give the file's name, its bytes or an array")
    hidden = {} if keras else orientation.hide_xmp(picture)
    try:
        return _make_upright(picture, max_pixels, keras, window)[0]
    finally:
        picture.info.update(hidden)


def _make_upright(
    picture: Image.Image, max_pixels: int, keras: bool, window: Window | None, smaller: int = 1
) -> tuple[Image.Image, int]:
    """Return an opened picture as upright RGB, and the orientation that it had."""
    _check_size(picture.size, max_pixels)
    left_over = orientation.find_left_over(picture)
    with _guarded(max_pixels):
        picture.load()
    _check_size(picture.size, max_pixels)  # an icon's size is known only now
    with _guarded(max_pixels, "unsupported", f"pixels of mode {picture.mode} cannot be read"):
        if keras and not (window and is_deep(picture)):
            return picture if picture.mode == "RGB" else picture.convert("RGB"), 1
        turned = left_over if left_over > 1 else orientation.find_orientation(picture)
        turned = 1 if keras else turned
        return to_rgb(picture, turned, window, smaller), turned


def from_array(
    array: NDArray[Any], max_pixels: int = MAX_PIXELS, window: Window | None = None
) -> Image.Image:
    """Return an array as an RGB picture.

    `array` is (height, width), or (height, width, channels) with 1 (grey), 2 (grey and
    alpha), 3 (RGB) or 4 (RGBA) channels: uint8 0..255, uint16 0..65535, float 0..1 or bool.
    With a `window` floats and integers of more than 8 bits may be any, see `pixels.to_8_bits`.

    Raises:
        PictureError: another shape, type or range; too large.
    """
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] > 4):
        raise PictureError(
            "unsupported",
            "expected an array of shape (height, width) or (height, width, 1 to 4); "
            f"received {array.shape}",
        )
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
    On broken files Pillow raises nearly everything that Python has."""
    allow_pixels(max_pixels)
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


def _is_plain(picture: ImageFile.ImageFile, data: bytes) -> bool:
    """Return whether an opened picture will be upright RGB as soon as it is decoded."""
    if picture.format == "PNG" and is_large(picture) and footprint.has_late_chunks(data):
        return False
    turned = orientation.find_left_over(picture) > 1 or orientation.find_orientation(picture) > 1
    return is_plain(picture) and not turned


def _open(data: bytes, max_pixels: int, keras: bool) -> ImageFile.ImageFile:
    """Return the picture that is meant, its header read; with `keras` the file's first."""
    try:
        picture = open_picture(data)
    except Exception as error:
        if bits := find_odd_bits(data):  # of grey Pillow reads 12
            what = f"a TIFF of {bits} bits a sample is not read in this form"
            raise PictureError("unsupported", f"{what}; save it with 8 or 16 bits") from error
        # Pillow refuses a PNG whose profile is broken, or larger than a megabyte.
        without, profile = profiles.take_png_profile(data)
        if without is data:
            raise
        picture = open_picture(without)
        picture.info["icc_profile"] = profile
    if not keras:
        meant = frames.find_whole(picture, data, lambda size: _check_size(size, max_pixels))
        if meant is not data:
            try:
                picture = open_picture(meant)
            except Image.DecompressionBombError:
                raise
            except Exception as error:
                raise frames.thumbnail_only(error) from error
        if picture.format == "TIFF":
            orientation.hide_xmp(picture)
            tell_planes(picture)
    _check_size(picture.size, max_pixels)
    return picture
