"""Upright, once: as Exif says, of a picture that nobody has turned yet."""

from __future__ import annotations

from typing import Any

from PIL import Image, ImageFile

TAG = 0x0112  # Exif 2.32
WIDTH, HEIGHT, DETAILS = 0xA002, 0xA003, 0x8769
XMP = ("xmp", "XML:com.adobe.xmp")

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def turn(picture: Image.Image, orientation: int) -> Image.Image:
    """Return a picture upright, itself where it is."""
    turned = _TURNS.get(orientation)
    return picture if turned is None else picture.transpose(turned)


def hide_xmp(picture: Image.Image) -> dict[str | tuple[int, int], Any]:
    """Take XMP out of an opened TIFF's `info` and return it: Pillow turns by it, too."""
    if getattr(picture, "tag_v2", None) is None:
        return {}
    return {key: picture.info.pop(key) for key in XMP if key in picture.info}


def find_left_over(picture: Image.Image) -> int:
    """Return the orientation of an opened TIFF that Pillow will not see to when it loads it."""
    try:
        found = getattr(picture, "tag_v2", {}).get(TAG, 1)
        return 1 if found in range(1, 9) else _whole_number(found)
    except Exception:  # as below
        return 1


def find_orientation(picture: Image.Image) -> int:
    """Return a loaded picture's orientation, 1 to 8, 1 where none is told or it was turned.

    Exif's counts, in whatever type it is written; XMP's alone, which browsers and viewers pass
    over, does not. A picture that the caller made of an opened one (converted, resized, turned)
    may have been turned: it is turned only where it has the shape that its Exif says was stored.
    """
    try:
        exif = _read_exif(picture)
        found = _whole_number(exif.get(TAG))
        if not 2 <= found <= 8 or isinstance(picture, ImageFile.ImageFile):
            return found if 1 <= found <= 8 else 1
        details = exif.get_ifd(DETAILS)
        width, height = details[WIDTH], details[HEIGHT]
        same = abs(width * picture.height / (height * picture.width) - 1) < 0.02
        return found if found >= 5 and width != height and same else 1
    except Exception:  # broken metadata; the pixels are fine, and upright is the best guess
        return 1


def _read_exif(picture: Image.Image) -> Image.Exif:
    """Return Exif without what Pillow adds to it of XMP."""
    exif = Image.Exif()
    if isinstance(content := picture.info.get("exif"), bytes):
        exif.load(content)
    elif text := picture.info.get("Raw profile type exif"):
        exif.load(bytes.fromhex("".join(text.split("\n")[3:])))
    return exif


def _whole_number(value: Any) -> int:
    """Return a number that may be written as bytes, text, a fraction or the first of several."""
    if isinstance(value, (tuple, list)):
        value = value[0]
    if isinstance(value, bytes):
        value = value.strip(b"\0 ")
        value = value.decode() if value.isdigit() else value[0]
    number = float(value)
    return int(number) if number == int(number) else 1
