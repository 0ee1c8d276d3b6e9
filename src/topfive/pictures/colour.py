"""From the colours that a profile describes to sRGB, the networks' own.

As browsers do it: by a profile's perceptual table, if it has tables, else by its primaries and
curves; for pixels that are RGB, grey or CMYK as the profile is, and no others.
"""

from __future__ import annotations

import contextlib
import functools
import io
import logging
import struct
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.system.text import printable

log = logging.getLogger("topfive")
_name = ContextVar("name", default="a picture")

LARGEST = 1 << 22  # bytes: twice as large as the largest tables for print
# sRGB's primaries and white as its profiles have them, adapted to D50.
SRGB = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
NEAR, SHADES = 0.002, 1.5 / 255  # by how much a profile of sRGB may miss these, and its curve


def to_srgb(picture: Image.Image, profile: bytes) -> Image.Image:
    """Return a loaded picture in sRGB, straight alpha; itself where it is that already, or where
    the profile is broken or of another kind of colour, which is logged once."""
    mode = picture.mode
    if mode in ("La", "RGBa"):
        picture = picture.convert("LA" if mode == "La" else "RGBA")
    elif mode not in ("L", "LA", "RGB", "RGBA", "CMYK", "LAB"):
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    space = _space(profile)
    if space == "RGB" and picture.mode in ("L", "LA"):  # grey is as much of each
        if _transform(profile, "RGB") is None:
            return picture
        picture = picture.convert("RGB" if picture.mode == "L" else "RGBA")
    alpha = picture.getchannel("A") if picture.mode in ("LA", "RGBA") else None
    if alpha is None:
        colours = picture
    else:
        colours = picture.getchannel("L") if picture.mode == "LA" else picture.convert("RGB")
    transform = _transform(profile, colours.mode)
    if transform is None:
        return picture
    result: Image.Image = transform.apply(colours)
    if alpha is not None:
        result.putalpha(alpha)
    return result


def _space(profile: bytes) -> str:
    return profile[16:20].decode("ascii", "replace").strip()


@functools.lru_cache(16)
def _transform(profile: bytes, mode: str) -> Any:
    """Return the transform of pixels of a mode, None where there is nothing to do."""
    if is_srgb(profile):
        return None
    if profile[36:40] != b"acsp":
        return say_ignored("it is broken")
    fits = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}.get(mode)
    space = _space(profile)
    if fits != space:
        return say_ignored(f"it describes {space or 'nothing'}, and the pixels are {fits or mode}")
    if len(profile) > LARGEST:
        return say_ignored(f"it has {len(profile):,} bytes, over the limit of {LARGEST:,}")
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        target = ImageCms.createProfile("sRGB")
        # For the perceptual intent LittleCMS moves black, which a table that is the only one does
        # not ask for; by the other intent it takes the same table as it is.
        both = b"A2B1" in _tags(profile)
        intent = ImageCms.Intent.PERCEPTUAL if both else ImageCms.Intent.RELATIVE_COLORIMETRIC
        return ImageCms.buildTransform(source, target, mode, "RGB", intent)
    except Exception as error:  # LittleCMS says little, and in several ways
        return say_ignored(" ".join(str(error).split()) or "it is broken")


@contextlib.contextmanager
def naming(source: str) -> Iterator[None]:
    """Name the picture that is decoded meanwhile in what is said of its profile."""
    token = _name.set(source)
    try:
        yield
    finally:
        _name.reset(token)


def say_ignored(reason: str) -> None:
    """Say that a profile is not used."""
    what = "its colour profile (ICC) is ignored, and its colours are taken as sRGB"
    log.info("%s: %s: %s", printable(_name.get()), what, reason)


@functools.lru_cache(16)
def is_srgb(profile: bytes) -> bool:
    """Return whether a profile is sRGB's by its primaries and curves; LittleCMS is not asked,
    which takes milliseconds to import."""
    try:
        tags = _tags(profile)
        if any(name.startswith((b"A2B", b"D2B")) for name in tags):
            return False
        if profile[16:20] == b"GRAY":
            return _is_srgb_curve(tags[b"kTRC"])
        if profile[16:20] != b"RGB " or profile[20:24] != b"XYZ ":
            return False
        found = [struct.unpack(">3i", tags[name][8:20]) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        if np.abs(np.array(found) / 65536 - SRGB).max() > NEAR:
            return False
        return all(_is_srgb_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    except (KeyError, ValueError, struct.error):
        return False


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """Return a profile's elements. Source: ICC.1:2022, section 7.3."""
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * at) for at in range(min(count, 99)))
    return {name: profile[start : start + length] for name, start, length in entries}


def _is_srgb_curve(element: bytes) -> bool:
    shades = np.linspace(0, 1, 256)
    return bool(np.abs(encode_srgb(_evaluate(element, shades)) - shades).max() <= SHADES)


def _evaluate(element: bytes, x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a curve's values at `x`. Source: ICC.1:2022, sections 10.6 and 10.18."""
    if element[:4] == b"curv":
        (count,) = struct.unpack_from(">I", element, 8)
        if count == 0:
            return x
        values = np.frombuffer(element, ">u2", count, 12)
        if count == 1:
            return np.asarray(x ** (values[0] / 256), np.float64)
        return np.interp(x, np.linspace(0, 1, count), values / 65535)
    if element[:4] != b"para":
        raise ValueError(element[:4])
    (kind,) = struct.unpack_from(">H", element, 8)
    count = (1, 3, 4, 5, 7)[kind] if kind < 5 else 0
    g, a, b, c, d, e, f = [
        one / 65536 for one in (*struct.unpack_from(f">{count}i", element, 12), *(0,) * 7)
    ][:7]
    if kind == 3:
        e = f = 0
    elif kind == 0:
        a, d = 1, 0
    elif kind != 4:
        raise ValueError(kind)  # none that sRGB is written in
    return np.asarray(np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f), np.float64)


def encode_srgb(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sRGB's values of linear light, 0 to 1. Source: IEC 61966-2-1."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
