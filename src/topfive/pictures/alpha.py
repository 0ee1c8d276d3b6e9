"""Where what a file stores beside the colours is no opacity: then the colours are shown.

It is none where the format says so, and where it is 0 everywhere in a format whose writers often
leave it so. A PNG, WebP, AVIF, GIF, HEIF or QOI says what it means: it is clear where it says so.
"""

from __future__ import annotations

import struct

from PIL import Image

# Where opacity is always declared. Pillow's own pictures have no format.
DECLARED = (None, "PNG", "WEBP", "AVIF", "GIF", "HEIF", "QOI", "MPO", "JPEG")
NONE = "topfive: no alpha"  # a key of `Image.info`


def complete(picture: Image.Image, data: bytes) -> None:
    """Note in an opened picture's `info` where its file says that it has no opacity."""
    if (picture.format == "TGA" and _is_opaque_tga(data)) or (
        picture.format == "PSD" and _is_opaque_psd(data)
    ):
        picture.info[NONE] = True


def is_none(picture: Image.Image) -> bool:
    """Return whether a loaded picture, or a band of it, has an alpha channel that is none."""
    if picture.format in DECLARED or not picture.has_transparency_data:
        return False
    layer = picture.convert("RGBA") if picture.mode in ("P", "PA") else picture
    if layer.mode not in ("RGBA", "LA"):
        return False
    return NONE in picture.info or layer.getchannel("A").getextrema() == (0, 0)


def drop(picture: Image.Image) -> Image.Image:
    """Return a loaded picture without its alpha channel."""
    layer = picture.convert("RGBA") if picture.mode in ("P", "PA") else picture
    return layer.convert("RGB" if layer.mode == "RGBA" else "L")


def _is_opaque_tga(data: bytes) -> bool:
    """Source: Truevision TGA 2.0, fields 5.6 (bits of attributes) and 24 (what they are)."""
    if not data[17] & 0x0F:
        return True
    (place,) = struct.unpack("<I", data[-26:-22])
    return data[-18:-2] == b"TRUEVISION-XFILE" and place > 0 and data[place + 494] in (0, 1, 2)


def _is_opaque_psd(data: bytes) -> bool:
    """Source: Adobe's specification of Photoshop files: the number of layers is negative where
    the channel after the colours is the opacity; else it is a selection that was saved."""
    place = 26
    for _ in range(2):  # the colours' data, the resources
        place += 4 + int.from_bytes(data[place : place + 4], "big")
    place += 8 if data[4:6] == b"\0\1" else 16
    return int.from_bytes(data[place : place + 2], "big", signed=True) >= 0
