"""What a file says of its colours, as an ICC profile, where Pillow does not give it as one.

PNG's chunks count as in browsers: cICP before iCCP before sRGB before gAMA with cHRM. JPEG 2000
and BMP hold profiles that Pillow passes over, AVIF and HEIF the same numbers as cICP.
"""

from __future__ import annotations

import contextlib
import re
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.pictures.colour import LARGEST, is_srgb, say_ignored

# Chromaticities of white, red, green and blue: x and y each.
Chromaticities = tuple[float, float, float, float, float, float, float, float]
_D65 = (0.3127, 0.3290)
SRGB: Chromaticities = (*_D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
# By their numbers in cICP. Source: ITU-T H.273, tables 2 and 3.
PRIMARIES: dict[int, Chromaticities] = {
    1: SRGB,
    5: (*_D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*_D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    9: (*_D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (0.314, 0.351, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*_D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
}
# The curves of video are shown as sRGB's, as Chromium does.
SRGB_CURVES, GAMMAS, PQ, HLG = (1, 6, 13, 14, 15), {4: 2.2, 5: 2.8, 8: 1.0}, 16, 18
WHITE = 203  # cd/m2 of paper in pictures of high dynamic range (ITU-R BT.2408); brighter is white

_XYZ_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = ((0.8951, 0.2664, -0.1614), (-0.7502, 1.7135, 0.0367), (0.0389, -0.0685, 1.0296))
_NCLX = re.compile(rb"colrnclx(....)", re.DOTALL)
_JP2_PROFILE = re.compile(rb"colr[\x02\x03]..(?=....[\s\S]{32}acsp)", re.DOTALL)


def find_profile(picture: Image.Image) -> bytes | None:
    """Return the profile of an opened picture's colours, None for sRGB or where none is told."""
    profile = picture.info.get("icc_profile")
    if isinstance(profile, bytes) and profile:
        return None if is_srgb(profile) else profile
    if "gamma" in picture.info and "srgb" not in picture.info:  # PNG
        return _from_gamma(picture.info["gamma"], picture.info.get("chromaticity"))
    return None


def complete(picture: Image.Image, data: bytes) -> None:
    """Give an opened picture's `info` what its file says of its colours and Pillow does not."""
    found: bytes | None = None
    if picture.format == "PNG":
        start, end = _find_png_chunk(data, b"cICP")
        numbers = data[start:end]
        if len(numbers) == 4 and (known := from_numbers(numbers[0], numbers[1])) is not None:
            picture.info["icc_profile"] = known
            picture.info["srgb"] = 0  # if there is none: what else is said does not count
        return
    if picture.info.get("icc_profile"):
        return
    if picture.format in ("AVIF", "HEIF") and (match := _NCLX.search(data, 0, 1 << 16)):
        found = from_numbers(*struct.unpack(">2H", match[1]))
    elif picture.format == "JPEG2000" and (match := _JP2_PROFILE.search(data, 0, 1 << 16)):
        (length,) = struct.unpack_from(">I", data, match.end())
        found = data[match.end() : match.end() + length]
    elif picture.format == "BMP" and data[70:74] in (b"DEBM", b"MBED"):  # of a V5 header
        start, length = struct.unpack_from("<2I", data, 126)
        found = data[14 + start : 14 + start + length]
    if found:
        picture.info["icc_profile"] = found


def take_png_profile(data: bytes) -> tuple[bytes, bytes]:
    """Return a PNG without its profile, and that: nothing where it is broken. What has none, or
    one that would become too large, is returned as it is."""
    start, end = _find_png_chunk(data, b"iCCP")
    _, _, packed = data[start:end].partition(b"\0\0")  # a name's end, and the method 0
    profile = b""
    with contextlib.suppress(zlib.error):
        profile = zlib.decompressobj().decompress(packed, LARGEST + 1)
    if not start or len(profile) > LARGEST:
        return data, b""
    if not profile:
        say_ignored("it is broken")
    return data[: start - 8] + data[end + 4 :], profile


def _find_png_chunk(data: bytes, name: bytes) -> tuple[int, int]:
    """Return where the content of a PNG's first chunk of a name begins and ends; 0 twice where it
    has none before its pixels."""
    at = 8
    while data[:4] == b"\x89PNG" and len(data) >= at + 8 and data[at + 4 : at + 8] != b"IDAT":
        (length,) = struct.unpack_from(">I", data, at)
        if data[at + 4 : at + 8] == name:
            return at + 8, at + 8 + length
        at += 12 + length
    return 0, 0


def from_numbers(primaries: int, curve: int) -> bytes | None:
    """Return the profile of colours by their numbers in cICP: empty for sRGB, None where
    they are not known."""
    if primaries not in PRIMARIES:
        return None
    if curve in SRGB_CURVES:
        return b"" if primaries == 1 else make_profile(PRIMARIES[primaries], _SRGB_CURVE)
    if curve in GAMMAS:
        return make_profile(PRIMARIES[primaries], _gamma(GAMMAS[curve]))
    if curve in (PQ, HLG):
        return make_profile(PRIMARIES[primaries], _table(_light(curve, np.linspace(0, 1, 4096))))
    return None


def _from_gamma(gamma: Any, chromaticities: Any) -> bytes | None:
    """Return the profile of a PNG's gAMA and cHRM. A gAMA of 1/2.2 is written beside sRGB, and
    stands for its curve; others are made to fit that, as libpng does it."""
    if not isinstance(gamma, (int, float)) or not 0.01 <= gamma <= 100:
        return None
    if not isinstance(chromaticities, tuple) or np.abs(np.subtract(chromaticities, SRGB)).max() < (
        0.002
    ):
        chromaticities = SRGB
    exponent = 1 / (gamma * 2.2)
    if abs(exponent - 1) < 0.02:
        return None if chromaticities is SRGB else make_profile(chromaticities, _SRGB_CURVE)
    shades = np.linspace(0, 1, 4096) ** exponent
    return make_profile(chromaticities, _table(_decode_srgb(shades)))


def make_profile(chromaticities: Chromaticities, curve: bytes) -> bytes | None:
    """Return an ICC profile of primaries and a curve; None where they make no sense.

    Source: ICC.1:2022, sections 7 and 9; Lindbloom, RGB/XYZ matrices, for the adaptation.
    """
    columns = _to_d50(np.array(chromaticities).reshape(4, 2))
    if columns is None:
        return None
    xyz = [b"XYZ \0\0\0\0" + struct.pack(">3i", *np.rint(one * 65536).astype(int))
           for one in columns.T]  # fmt: skip
    names = (b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC")
    table, body, start = b"", b"", 132 + 12 * len(names)
    for name, element in zip(names, (*xyz, curve, curve, curve), strict=True):
        table += name + struct.pack(">2I", start + len(body), len(element))
        body += element + bytes(-len(element) % 4)
    head = struct.pack(">I4s4B4s4s4s12x4s28x3i", start + len(body), b"", 2, 0x40, 0, 0,
                       b"mntr", b"RGB ", b"XYZ ", b"acsp",
                       *(round(one * 65536) for one in _XYZ_D50))  # fmt: skip
    return head.ljust(128, b"\0") + struct.pack(">I", len(names)) + table + body


def _to_d50(points: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return XYZ of red, green and blue as columns, under D50, of the chromaticities (4, 2)."""
    if not ((points[:, 1] > 0) & (points.sum(axis=1) <= 1.5)).all():
        return None
    white, *primaries = ((x / y, 1.0, (1 - x - y) / y) for x, y in points)
    columns = np.array(primaries).T
    if abs(np.linalg.det(columns)) < 1e-3:
        return None
    columns = columns * np.linalg.solve(columns, white)
    bradford = np.array(_BRADFORD)
    scale = (bradford @ _XYZ_D50) / (bradford @ white)
    adapted: NDArray[np.float64] = np.linalg.solve(bradford, scale[:, None] * (bradford @ columns))
    return adapted if np.abs(adapted).max() < 100 else None


def _gamma(exponent: float) -> bytes:
    return b"para" + struct.pack(">8xi", round(exponent * 65536))


_SRGB_CURVE = b"para" + struct.pack(
    ">4x2H5i", 3, 0, *(round(one * 65536) for one in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92,
                                                      0.04045))
)  # fmt: skip


def _table(linear: NDArray[np.float64]) -> bytes:
    values = np.rint(np.clip(linear, 0, 1) * 65535).astype(">u2")
    return b"curv" + struct.pack(">4xI", len(values)) + values.tobytes()


def _decode_srgb(shades: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(shades <= 0.04045, shades / 12.92, ((shades + 0.055) / 1.055) ** 2.4)


def _light(curve: int, signal: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the light of PQ or HLG, 1 for paper's white. Source: ITU-R BT.2100, tables 4, 5."""
    if curve == PQ:
        root = signal ** (1 / 78.84375)
        light = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
        return 10_000 / WHITE * light ** (1 / 0.1593017578125)
    scene = np.where(
        signal <= 0.5, signal**2 / 3, (np.exp((signal - 0.55991) / 0.17883) + 0.28467) / 12
    )
    return 1000 / WHITE * scene**1.2
