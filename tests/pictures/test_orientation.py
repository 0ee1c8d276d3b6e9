"""A picture is turned as its Exif says, however that is written, and once."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps, PngImagePlugin

from tests.support import pictures
from topfive.pictures import decoding, orientation

COLOURS = pictures.colours()
SIDEWAYS = np.rot90(COLOURS, 1).copy()  # what a camera stores that says 6
XMP = '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def exif(kind: int, count: int, value: bytes, order: str = "<") -> bytes:
    """Return Exif with an orientation of a type of TIFF's (1 bytes, 2 text, 3 and 4 numbers,
    5 fraction, 7 undefined, 11 and 12 floats)."""
    far = len(value) > 4
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    entry = struct.pack(f"{order}HHHI", 1, 0x0112, kind, count)
    place = struct.pack(f"{order}I", 26) if far else value.ljust(4, b"\0")
    return b"Exif\0\0" + head + entry + place + bytes(4) + (value if far else b"")


WRITTEN = {
    "short": exif(3, 1, struct.pack("<H", 6)),
    "short, big endian": exif(3, 1, struct.pack(">H", 6), ">"),
    "long": exif(4, 1, struct.pack("<I", 6)),
    "several": exif(3, 2, struct.pack("<2H", 6, 6)),
    "byte": exif(1, 1, b"\6"),
    "signed byte": exif(6, 1, b"\6"),
    "undefined": exif(7, 1, b"\6"),
    "undefined, with zeros": exif(7, 4, b"\6\0\0\0"),
    "text": exif(2, 2, b"6\0"),
    "signed short": exif(8, 1, struct.pack("<h", 6)),
    "signed long": exif(9, 1, struct.pack("<i", 6)),
    "fraction": exif(5, 1, struct.pack("<2I", 6, 1)),
    "float": exif(11, 1, struct.pack("<f", 6)),
    "double": exif(12, 1, struct.pack("<d", 6)),
}
NONE = {
    "nought": exif(3, 1, struct.pack("<H", 0)),
    "nine": exif(3, 1, struct.pack("<H", 9)),
    "half": exif(5, 1, struct.pack("<2I", 13, 2)),
    "endless": exif(5, 1, struct.pack("<2I", 6, 0)),
    "no number": exif(11, 1, struct.pack("<f", float("nan"))),
    "words": exif(2, 4, b"top\0"),
    "nothing": exif(2, 1, b"\0"),
}


def decoded(data: bytes, **options: Any) -> NDArray[np.int64]:
    return np.asarray(decoding.decode(data, **options)[0]).astype(np.int64)


def png_with(told: bytes) -> bytes:
    return pictures.png(SIDEWAYS, 2, pictures.png_chunk(b"eXIf", told.removeprefix(b"Exif\0\0")))


@pytest.mark.parametrize("name", WRITTEN)
def test_orientation_is_understood_in_every_type_that_is_found(name: str) -> None:
    assert (decoded(png_with(WRITTEN[name])) == COLOURS).all()
    jpeg = pictures.encode(SIDEWAYS, "JPEG", quality=95, exif=WRITTEN[name])
    assert np.abs(decoded(jpeg) - COLOURS).max() <= 12
    assert decoding.decode(jpeg)[1] == (64, 48)


@pytest.mark.parametrize("name", NONE)
def test_an_orientation_that_means_nothing_turns_nothing(name: str) -> None:
    assert (decoded(png_with(NONE[name])) == SIDEWAYS).all()


@pytest.mark.parametrize("name", ["short", "several", "byte", "text", "float", "double"])
def test_a_tiff_is_turned_once_in_whatever_type_it_says_so(name: str) -> None:
    told = WRITTEN[name][6:]
    kind, count = struct.unpack_from("<HI", told, 12)
    data = bytearray(pictures.encode(SIDEWAYS, "TIFF", exif=exif_of(6)))
    place = data.index(struct.pack("<HHI", 0x0112, 3, 1))
    struct.pack_into("<HI", data, place + 2, kind, count)
    data[place + 8 : place + 12] = told[18:22] if len(told) <= 26 else struct.pack("<I", len(data))
    assert (decoded(bytes(data) + told[26:]) == COLOURS).all()


def exif_of(value: int, size: tuple[int, int] | None = None) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = value
    if size:
        found.get_ifd(0x8769).update({0xA002: size[0], 0xA003: size[1]})
    return found


def as_jpeg(picture: NDArray[np.uint8], **options: Any) -> bytes:
    return pictures.encode(picture, "JPEG", quality=95, **options)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
def test_xmp_alone_turns_nothing(format: str) -> None:
    options: dict[str, Any] = {"xmp": XMP.encode()}
    if format == "PNG":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", XMP)
        options = {"pnginfo": text}
    elif format == "TIFF":
        options = {"tiffinfo": {700: XMP.encode()}}
    if format in ("JPEG", "WEBP", "AVIF"):
        options["quality"] = 95
    data = pictures.encode(SIDEWAYS, format, **options)
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.getexif().get(0x0112) == 6  # Pillow takes it for Exif's
    assert np.abs(decoded(data) - SIDEWAYS).max() <= 16
    with Image.open(io.BytesIO(data)) as picture:
        told = {key: picture.info[key] for key in orientation.XMP if key in picture.info}
        assert np.abs(np.asarray(decoding.from_image(picture)).astype(int) - SIDEWAYS).max() <= 16
        assert told.items() <= picture.info.items()


def test_exif_counts_where_xmp_says_something_else() -> None:
    other = XMP.replace('"6"', '"3"').encode()
    assert np.abs(decoded(as_jpeg(SIDEWAYS, exif=exif_of(6), xmp=other)) - COLOURS).max() <= 12


CALLERS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it was opened": lambda opened: opened,
    "loaded": lambda opened: (opened.load(), opened)[1],
    "turned by Pillow": ImageOps.exif_transpose,
    "turned by Pillow in its place": lambda opened: (
        ImageOps.exif_transpose(opened, in_place=True),
        opened,
    )[1],
    "turned by hand": lambda opened: opened.transpose(Image.Transpose.ROTATE_270),
    "rotated": lambda opened: opened.rotate(-90, expand=True),
    "turned, then converted": lambda opened: opened.transpose(Image.Transpose.ROTATE_270).convert(
        "RGBA"
    ),
}


@pytest.mark.parametrize("sides", [True, False], ids=["with sides", "without sides"])
@pytest.mark.parametrize("name", CALLERS)
@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "MPO"])
def test_a_pillow_picture_is_upright_whether_its_caller_turned_it_or_not(
    format: str, name: str, sides: bool
) -> None:
    """Its Exif may tell the sides that the camera stored, as cameras' do."""
    told = exif_of(6, (48, 64) if sides else None).tobytes()
    options = {} if format == "PNG" else {"quality": 95}
    data = pictures.encode(SIDEWAYS, format, exif=told, **options)
    result = decoding.from_image(CALLERS[name](Image.open(io.BytesIO(data))))
    assert result.size == (64, 48)
    assert np.abs(np.asarray(result).astype(int) - COLOURS).max() <= 16
    assert np.abs(np.asarray(decoding.from_image(result)).astype(int) - COLOURS).max() <= 16


@pytest.mark.parametrize("change", ["copy", "convert", "resize"])
def test_a_picture_made_from_an_opened_one_is_turned_where_it_shows_that_it_was_not(
    change: str,
) -> None:
    changes: dict[str, Callable[[Image.Image], Image.Image]] = {
        "copy": lambda opened: opened.copy(),
        "convert": lambda opened: opened.convert("RGB"),
        "resize": lambda opened: opened.resize((24, 32)),
    }
    opened = Image.open(io.BytesIO(as_jpeg(SIDEWAYS, exif=exif_of(6, (48, 64)).tobytes())))
    result = decoding.from_image(changes[change](opened))
    assert result.width > result.height
    unknown = Image.open(io.BytesIO(as_jpeg(SIDEWAYS, exif=exif_of(6).tobytes())))
    assert decoding.from_image(changes[change](unknown)).width < result.width


def test_a_tiff_that_its_caller_turned_is_not_turned_again() -> None:
    data = pictures.encode(SIDEWAYS, "TIFF", exif=exif_of(6))
    for change in CALLERS.values():
        if change is CALLERS["turned by hand"]:
            break
        result = decoding.from_image(change(Image.open(io.BytesIO(data))))
        assert (np.asarray(result) == COLOURS).all()


def test_what_was_decoded_is_not_turned_again() -> None:
    for data in (as_jpeg(SIDEWAYS, exif=exif_of(6)), png_with(WRITTEN["short"])):
        first, _ = decoding.decode(data)
        assert orientation.find_orientation(first) == 1
        assert decoding.from_image(first).size == (64, 48)
