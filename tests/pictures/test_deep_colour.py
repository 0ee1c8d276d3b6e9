"""A window is used on colours of 16 bits as on grey, or it is said that it cannot be."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.pictures.test_alpha import tiff
from tests.support import pictures
from topfive.errors import PictureError
from topfive.pictures import decoding, deep_colour
from topfive.pictures.formats import open_picture

COLOURS = pictures.colours()
TWELVE = np.rint(COLOURS / 255 * 4095).astype(np.uint16)
SIXTEEN = np.random.default_rng(0).integers(0, 65536, COLOURS.shape, np.uint16)
ALPHA = np.full((48, 64, 1), 65535, np.uint16)
ALPHA[:, :32] = 0


def decoded(data: bytes, **options: Any) -> NDArray[np.int64]:
    return np.asarray(decoding.decode(data, **options)[0]).astype(np.int64)


def shades(values: NDArray[np.uint16], low: float, high: float) -> NDArray[np.int64]:
    return np.rint(np.clip((values.astype(float) - low) / (high - low), 0, 1) * 255).astype(
        np.int64
    )


def encoded(format: str, values: NDArray[np.uint16]) -> bytes:
    if format == "png":
        return pictures.png(values, {1: 0, 2: 4, 3: 2, 4: 6}[values.shape[2]])
    if format == "big tiff":
        return big_endian(values)
    return tiff(values, 2 if values.shape[2] == 4 else None)


def big_endian(values: NDArray[np.uint16]) -> bytes:
    height, width, samples = values.shape
    body, end = values.astype(">u2").tobytes(), 8 + values.size * 2
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, samples, end), (259, 3, 1, 1 << 16),
            (262, 3, 1, 2 << 16), (273, 4, 1, 8), (277, 3, 1, samples << 16), (278, 4, 1, height),
            (279, 4, 1, len(body))]  # fmt: skip
    tags += [(338, 3, 1, 2 << 16)] if samples == 4 else []
    bits = struct.pack(f">{samples}H", *[16] * samples)
    table = b"".join(struct.pack(">HHII", *tag) for tag in tags)
    start = struct.pack(">2sHI", b"MM", 42, end + len(bits))
    return start + body + bits + struct.pack(">H", len(tags)) + table + bytes(4)


@pytest.mark.parametrize("format", ["png", "tiff", "big tiff"])
def test_a_window_is_in_the_values_of_the_colours(format: str) -> None:
    assert (decoded(encoded(format, TWELVE), window=(0, 4095)) == shades(TWELVE, 0, 4095)).all()
    for window in ((0, 65535), (300, 310), (20_000, 50_000)):
        result = decoded(encoded(format, SIXTEEN), window=window)
        assert (result == shades(SIXTEEN, *window)).all()
    assert (decoded(encoded(format, TWELVE)) <= 16).all()


@pytest.mark.parametrize("format", ["png", "tiff", "big tiff"])
def test_opacity_is_left_out_of_the_window(format: str) -> None:
    result = decoded(encoded(format, np.dstack([TWELVE, ALPHA])), window=(0, 4095))
    assert (result[:, :32] == 255).all()
    assert (result[:, 32:] == shades(TWELVE, 0, 4095)[:, 32:]).all()


@pytest.mark.parametrize("white", [511, 4095, 65535])
def test_a_window_on_grey_is_in_the_values_of_the_file(white: int) -> None:
    """Pillow scales a PGM's and a JPEG 2000's to 16 bits."""
    grey = np.rint(COLOURS[:, :, 0] / 255 * white).astype(np.uint16)
    expected = shades(grey[:, :, None], 100, 300)
    head = b"64 48 %d\n" % white
    plain = b"P2 " + head + b" ".join(b"%d" % one for one in grey.reshape(-1))
    for data in (plain, b"P5 " + head + grey.astype(">u2").tobytes()):
        assert np.abs(decoded(data, window=(100, 300)) - expected).max() <= 1
    data = pictures.encode(Image.fromarray(grey), "JPEG2000")
    assert (decoded(data, window=(100, 300)) == expected).all()
    opened = open_picture(data)
    twelve = bytearray(data)
    twelve[data.index(b"\xff\x4f\xff\x51") + 42] = 11
    assert deep_colour.own_values(opened, bytes(twelve), (0, 4095)) == (0, 65520)


def test_compressed_and_interlaced_colours_are_read_in_full() -> None:
    tifffile = pytest.importorskip("tifffile")
    for options in ({"compression": "zlib"}, {"compression": "zlib", "tile": (16, 16)},
                    {"compression": "zlib", "predictor": True}, {"rowsperstrip": 7}):  # fmt: skip
        file = io.BytesIO()
        tifffile.imwrite(file, SIXTEEN, photometric="rgb", **options)
        assert (decoded(file.getvalue(), window=(9, 60_000)) == shades(SIXTEEN, 9, 60_000)).all()
    with pytest.raises(PictureError):
        decoding.decode(encoded("png", SIXTEEN)[:-400], window=(0, 1))


def test_grey_with_opacity_and_a_clear_colour_are_seen_in_full() -> None:
    grey = np.dstack([TWELVE[:, :, 0], ALPHA])
    result = decoded(encoded("png", grey), window=(0, 4095))
    expected = shades(TWELVE[:, :, :1], 0, 4095)
    expected[:, :32] = 255
    assert (result == expected).all()
    values = np.array([[[1000, 2000, 3000], [1001, 2000, 3000]]], np.uint16)
    chunk = pictures.png_chunk(b"tRNS", struct.pack(">3H", 1000, 2000, 3000))
    result = decoded(pictures.png(values, 2, chunk), window=(0, 3000))
    assert result.tolist() == [[[255, 255, 255], [85, 170, 255]]]


def test_the_tutorials_recipe_takes_a_window_too() -> None:
    result = decoded(pictures.png(TWELVE, 2), window=(0, 4095), keras=True)
    assert (result == shades(TWELVE, 0, 4095)).all()


def test_a_picture_in_a_window_is_upright_and_opaque_where_it_was() -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    chunk = pictures.png_chunk(b"eXIf", turned.tobytes().removeprefix(b"Exif\0\0"))
    data = pictures.png(np.rot90(TWELVE, 1).copy(), 2, chunk)
    picture, size = decoding.decode(data, window=(0, 4095))
    assert size == picture.size == (64, 48)
    assert (np.asarray(picture) == shades(TWELVE, 0, 4095)).all()
    empty = tiff(np.dstack([TWELVE, ALPHA * 0]), 2)
    assert (decoded(empty, window=(0, 4095)) == shades(TWELVE, 0, 4095)).all()


def jpeg_2000() -> bytes:
    """Return a JPEG 2000 whose header says 12 bits; its pixels do not matter here."""
    data = bytearray(pictures.encode(COLOURS, "JPEG2000"))
    place = data.index(b"\xff\x4f\xff\x51") + 42
    for component in range(3):
        data[place + 3 * component] = 11
    return bytes(data)


def test_avif_and_heic_of_ten_bits_are_known_by_what_they_say() -> None:
    """Pillow makes none and reads eight of their bits."""
    data = pictures.encode(COLOURS, "AVIF")
    place = data.index(b"av1C") + 6
    ten = data[:place] + bytes([data[place] | 0x40]) + data[place + 1 :]
    opened = open_picture(data)
    assert not deep_colour.is_deep_colour(opened, data)
    assert deep_colour.is_deep_colour(opened, ten)
    opened = open_picture(pictures.heic(COLOURS))
    assert not deep_colour.is_deep_colour(opened, b"")
    opened.info["bit_depth"] = 10
    assert deep_colour.is_deep_colour(opened, b"")


UNREADABLE = {
    "ppm": lambda: b"P6 64 48 4095\n" + TWELVE.astype(">u2").tobytes(),
    "plain ppm": lambda: b"P3 64 48 4095\n" + b" ".join(b"%d" % one for one in TWELVE.reshape(-1)),
    "sgi": lambda: pictures.encode(COLOURS, "SGI", bpc=2),
    "cmyk": lambda: cmyk(),
    "jpeg 2000": jpeg_2000,
}


def cmyk() -> bytes:
    data = bytearray(tiff(np.dstack([TWELVE, ALPHA]), None))
    place = data.index(struct.pack("<HHI", 262, 3, 1)) + 8
    data[place] = 5
    return bytes(data)


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_window_that_cannot_be_used_is_refused(name: str) -> None:
    with pytest.raises(PictureError, match="a window cannot be used") as caught:
        decoding.decode(UNREADABLE[name](), window=(0, 4095))
    assert caught.value.kind == "unsupported"


def test_a_pillow_picture_of_deep_colours_is_refused_before_it_loses_them() -> None:
    for data in (pictures.png(TWELVE, 2), UNREADABLE["ppm"]()):
        with Image.open(io.BytesIO(data)) as opened:
            with pytest.raises(PictureError, match="give the file's name") as caught:
                decoding.from_image(opened, window=(0, 4095))
            assert caught.value.kind == "unsupported"
            assert decoding.from_image(opened).size == (64, 48)
    eight = Image.fromarray(COLOURS)
    assert (np.asarray(decoding.from_image(eight, window=(0, 10))) == COLOURS).all()


def test_a_window_does_nothing_to_pictures_of_eight_bits() -> None:
    for format in ("PNG", "TIFF", "JPEG2000", "AVIF", "SGI", "PPM", "BMP"):
        data = pictures.encode(COLOURS, format)
        assert (decoded(data, window=(0, 10)) == decoded(data)).all()


def test_a_window_on_a_large_picture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deep_colour, "LARGEST", 64 * 48 - 1)
    with pytest.raises(PictureError, match="3,071 pixels; received 64 x 48") as caught:
        decoding.decode(pictures.png(TWELVE, 2), window=(0, 4095))
    assert caught.value.kind == "too-large"
