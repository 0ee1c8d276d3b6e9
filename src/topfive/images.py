"""From bytes to an upright RGB picture, and from there to the network's square.

Pillow reads the files; what it would read wrongly or dangerously is stopped or put right
here: progressive JPEGs with thousands of scans, pictures of gigapixels, 16-bit and float
pixels that a plain `convert("RGB")` clips to white or black.
"""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from topfive.errors import PictureError
from topfive.networks import Recipe

MAX_PIXELS = 100_000_000
# libjpeg-turbo's own fuzzing bound; 3,000 scans in 152 KB take 51 s to decode.
MAX_SCANS = 100
WHITE = (255, 255, 255, 255)
# ImageNet's mean colour: what the networks see as nothing.
MEAN_COLOUR = (124, 117, 104)

COMMON_FORMATS = ("JPEG", "PNG", "GIF", "BMP", "PPM")
# All that Pillow reads but what starts another program or another parser: EPS (Ghostscript),
# WMF (Windows GDI), and the stubs for HDF5, GRIB and BUFR.
ALL_FORMATS = frozenset(
    """AVIF BLP BMP CUR DCX DDS DIB FITS FLI FTEX GBR GIF HEIF ICNS ICO IM IMT JPEG JPEG2000
    MCIDAS MPO MSP PCD PCX PIXAR PNG PPM PSD QOI SGI SPIDER SUN TGA TIFF WEBP XBM XPM
    XVTHUMB""".split()
)
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")

# What Pillow's decoders raise on broken files, besides OSError.
BROKEN = (
    OSError, ValueError, SyntaxError, RuntimeError, NotImplementedError, TypeError, EOFError,
    IndexError, KeyError, OverflowError, ZeroDivisionError, MemoryError, struct.error,
)  # fmt: skip

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF 2.32, tag 0x0112
_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SCAN, _END, _START = 0xDA, 0xD9, 0xD8


def allow_pixels(max_pixels: int) -> None:
    """Raise Pillow's own limit, which is the process's, where it is the lower one."""
    if Image.MAX_IMAGE_PIXELS is not None:
        Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, max_pixels)


def decode(data: bytes, max_pixels: int = MAX_PIXELS, keras: bool = False) -> Image.Image:
    """Return the picture in `data` as RGB, upright, transparency over white.

    With `keras` as Keras's `load_img` does it: only `convert("RGB")`.

    Raises:
        PictureError: empty, not a picture, broken, too large (in pixels or JPEG scans).
    """
    if not data:
        raise PictureError("empty", "the file is empty")
    if data[:2] == b"\xff\xd8" and count_scans(data) > MAX_SCANS:
        raise PictureError("too-large", f"a JPEG with over {MAX_SCANS} scans is refused")
    try:
        picture = _open(data)
        _check_size(picture.size, max_pixels)
        picture.seek(0)
        picture.load()
    except Image.DecompressionBombError as error:
        raise PictureError("too-large", f"{error} (--max-pixels)") from error
    except BROKEN as error:
        raise PictureError("broken", f"broken or cut off: {_reason(error)}") from error
    return from_image(picture, max_pixels, keras)


def from_image(picture: Image.Image, max_pixels: int = MAX_PIXELS, keras: bool = False) -> Image.Image:
    """Return a Pillow picture as upright RGB; see `decode`."""
    _check_size(picture.size, max_pixels)
    try:
        if keras:
            return picture if picture.mode == "RGB" else picture.convert("RGB")
        picture = to_rgb(picture, orientation=_orientation(picture))
    except BROKEN as error:
        raise PictureError("broken", f"broken or cut off: {_reason(error)}") from error
    return picture


def from_array(array: NDArray[Any], max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return an array as an RGB picture.

    `array` is (height, width), or (height, width, channels) with 1 (grey), 2 (grey and
    alpha), 3 (RGB) or 4 (RGBA) channels: uint8 0..255, uint16 0..65535, float 0..1 or bool.

    Raises:
        PictureError: another shape, type or range.
    """
    if array.ndim not in (2, 3) or 0 in array.shape or (array.ndim == 3 and array.shape[2] > 4):
        raise PictureError(
            "unsupported",
            "expected an array of shape (height, width) or (height, width, 1 to 4); "
            f"received {array.shape}",
        )
    _check_size((array.shape[1], array.shape[0]), max_pixels)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8) * np.uint8(255)
    elif np.issubdtype(array.dtype, np.floating):
        low, high = float(array.min()), float(array.max())
        if not (low >= 0 and high <= 1):
            raise PictureError(
                "unsupported", f"a float array must lie in 0..1; received {low:g}..{high:g}"
            )
        array = np.rint(array.astype(np.float64) * 255).astype(np.uint8)
    elif array.dtype == np.uint16:
        array = _from_16_bits(array)
    elif array.dtype != np.uint8:
        raise PictureError(
            "unsupported", f"expected uint8, uint16, bool or float 0..1; received {array.dtype}"
        )
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    return to_rgb(Image.fromarray(np.ascontiguousarray(array)))


def to_rgb(picture: Image.Image, orientation: int = 1) -> Image.Image:
    """Return any Pillow mode as RGB: deep pixels scaled, transparency over white, turned.

    16 bits are scaled from their full range. Floats within 0..1 and 32-bit integers within
    0..65535 likewise; other ranges are stretched from their least to their greatest value.
    """
    if picture.mode.startswith("I;16"):
        picture = Image.fromarray(_from_16_bits(np.asarray(picture)))
    elif picture.mode in ("I", "F"):
        picture = Image.fromarray(_from_32_bits(np.asarray(picture)))
    elif picture.mode == "LAB":
        picture = _from_lab(picture)
    if turn := _TURNS.get(orientation):
        picture = picture.transpose(turn)
    if picture.mode == "La":
        picture = picture.convert("LA")
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", picture.size, WHITE), picture).convert("RGB")
    return picture if picture.mode == "RGB" else picture.convert("RGB")


def fit(picture: Image.Image, size: int, recipe: Recipe) -> NDArray[np.uint8]:
    """Return an RGB picture as the network's square, uint8 (size, size, 3)."""
    filter = Image.Resampling[recipe.filter.upper()]
    width, height = picture.size
    if recipe.fit == "crop":
        short = min(width, height)
        # The scale stays exact and a strip of 1 x 100,000 pixels costs no memory if what
        # the crop throws away anyway goes first.
        keep = (min(width, 2 * short), min(height, 2 * short))
        left, top = (width - keep[0]) // 2, (height - keep[1]) // 2
        if keep != (width, height):
            picture = picture.crop((left, top, left + keep[0], top + keep[1]))
        scale = recipe.short_side / short
        resized = picture.resize((round(keep[0] * scale), round(keep[1] * scale)), filter)
        left, top = round((resized.width - size) / 2), round((resized.height - size) / 2)
        square = resized.crop((left, top, left + size, top + size))
    elif recipe.fit == "pad":
        scale = size / max(width, height)
        inner = (max(1, round(width * scale)), max(1, round(height * scale)))
        square = Image.new("RGB", (size, size), MEAN_COLOUR)
        square.paste(
            picture.resize(inner, filter), ((size - inner[0]) // 2, (size - inner[1]) // 2)
        )
    else:
        square = picture.resize((size, size), filter)
    return np.asarray(square)


def count_scans(data: bytes) -> int:
    """Count a JPEG's scans without decoding it; stops counting one above `MAX_SCANS`.

    Source: ITU-T T.81, annex B. Segments are stepped over by their length, so that a marker
    hidden in a comment counts neither as a scan nor as the end.
    """
    scans, position = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(data, position)):
        marker, position = data[found.end() - 1], found.end()
        if marker == _END:
            break
        if marker in (_START, 0x01):
            continue
        scans += marker == _SCAN
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return scans


def _open(data: bytes) -> Image.Image:
    """Open with the usual formats first: registering all of Pillow's costs 0.1 s."""
    register: tuple[Callable[[], object], ...] = (lambda: None, Image.init, _register_heif)
    for prepare in register:
        prepare()
        known = [name for name in Image.OPEN if name in ALL_FORMATS]
        formats = COMMON_FORMATS if prepare is register[0] else known
        try:
            return Image.open(io.BytesIO(data), formats=formats)
        except UnidentifiedImageError:
            continue
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS and "HEIF" not in Image.OPEN:
        raise PictureError("unsupported", "HEIC needs an extra: pip install 'topfive[heic]'")
    raise PictureError("not-a-picture", "not a picture in any format that topfive reads")


def _register_heif() -> None:
    try:
        import pi_heif
    except ImportError:
        return  # `_open` names the extra if the file turns out to be HEIC
    pi_heif.register_heif_opener()


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
    except BROKEN:
        return 1  # broken metadata; the pixels are fine, and upright is the best guess
    return value if isinstance(value, int) else 1


def _from_16_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    return np.rint(values.astype(np.float32) / 257).astype(np.uint8)


def _from_32_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    numbers = np.nan_to_num(values.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = numbers.min(), numbers.max()
    full = 1.0 if values.dtype.kind == "f" else 65535.0
    if low >= 0 and high <= full:
        low, high = 0.0, full
    return np.rint((numbers - low) * (255 / (high - low))).astype(np.uint8)


def _from_lab(picture: Image.Image) -> Image.Image:
    from PIL import ImageCms

    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB")
    converted = ImageCms.applyTransform(picture, transform)
    assert converted is not None  # only an in-place transform returns None
    return converted


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if text else type(error).__name__
