"""Every kind of pixel becomes the colour that was meant."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.support import pictures
from topfive.errors import PictureError
from topfive.pictures import decoding
from topfive.pictures.pixels import to_8_bits, to_rgb

COLOURS = pictures.colours()
PICTURE = Image.fromarray(COLOURS)
GREY = np.asarray(PICTURE.convert("L"))
# 16 bits whose high byte alone would be one too low for half of the values.
DEEP = (GREY.astype(np.uint16) * 257 - (GREY > 0) * np.uint16(100)).astype(np.uint16)


def decoded(data: bytes) -> NDArray[np.int64]:
    return np.asarray(decoding.decode(data)[0]).astype(np.int64)


def as_rgb(grey: NDArray[np.uint8]) -> NDArray[np.int64]:
    return np.repeat(grey[:, :, None], 3, axis=2).astype(np.int64)


def with_alpha(mode: str) -> tuple[Image.Image, NDArray[np.int64]]:
    """Return a picture whose left half is clear, its middle column half so, and what it
    looks like on white paper."""
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[:, :32], alpha[:, 32] = 0, 128
    base = PICTURE.convert("L" if mode == "LA" else "RGB")
    opaque = np.asarray(base.convert("RGB")).astype(float)
    weight = alpha[:, :, None] / 255
    expected = np.rint(opaque * weight + 255 * (1 - weight)).astype(np.int64)
    base.putalpha(Image.fromarray(alpha))
    return base, expected


@pytest.mark.parametrize("mode", ["RGBA", "LA", "La", "RGBa"])
def test_transparency_lies_over_white(mode: str) -> None:
    straight = {"La": "LA", "RGBa": "RGBA"}.get(mode, mode)
    picture, expected = with_alpha(straight)
    result = np.asarray(to_rgb(picture.convert(mode))).astype(np.int64)
    assert np.abs(result - expected).max() <= 2
    assert (result[:, :32] == 255).all()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF", "AVIF", "TGA", "ICO", "QOI"])
def test_every_format_with_transparency_lies_over_white(format: str) -> None:
    picture, _ = with_alpha("RGBA")
    table: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True},
        "ICO": {"sizes": [(64, 48)]},
    }
    options = table.get(format, {})
    result = decoded(pictures.encode(picture, format, **options))
    assert result.shape == COLOURS.shape
    assert (result[:, :30] >= 250).all()
    assert np.abs(result[:, 36:] - COLOURS[:, 36:]).max() <= (12 if format == "AVIF" else 0)


@pytest.mark.parametrize("alphas", [b"\0", bytes([255, 0]), bytes([128, 255, 64])])
def test_a_palette_with_transparency_lies_over_white(alphas: bytes) -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.putdata([0, 1, 2])
    opacity = np.array([*alphas, 255, 255, 255][:3])[:, None] / 255
    paint = np.diag([200, 200, 200])
    result = decoded(pictures.encode(palette, "PNG", transparency=alphas))[0]
    assert np.abs(result - (paint * opacity + 255 * (1 - opacity))).max() <= 1


def test_a_transparent_gif_lies_over_white() -> None:
    palette = Image.new("P", (3, 1))
    palette.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    palette.putdata([0, 1, 2])
    result = decoded(pictures.encode(palette, "GIF", transparency=1))[0]
    assert result.tolist() == [[200, 0, 0], [255, 255, 255], [0, 0, 200]]


@pytest.mark.parametrize(
    ("pixels", "colour_type", "clear"),
    [
        (np.array([[7, 90]], np.uint8), 0, (7,)),
        (np.array([[7 * 257, 90 * 257]], np.uint16), 0, (7 * 257,)),
        (np.array([[[1, 2, 3], [90, 90, 90]]], np.uint8), 2, (1, 2, 3)),
        (np.array([[[1000, 2000, 3000], [90 * 257] * 3]], np.uint16), 2, (1000, 2000, 3000)),
    ],
    ids=["grey", "deep grey", "rgb", "deep rgb"],
)
def test_a_transparent_colour_of_a_png_is_white(
    pixels: NDArray[np.generic], colour_type: int, clear: tuple[int, ...]
) -> None:
    chunk = pictures.png_chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))
    assert decoded(pictures.png(pixels, colour_type, chunk)).tolist() == [[[255] * 3, [90] * 3]]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX"])
def test_every_mode_looks_the_same_in_rgb(mode: str) -> None:
    tolerance = {"P": 64, "HSV": 8, "YCbCr": 4}.get(mode, 0)
    result = np.asarray(to_rgb(PICTURE.convert(mode))).astype(np.int64)
    if mode == "1":
        assert set(np.unique(result)) == {0, 255}
        return
    assert np.abs(result - (as_rgb(GREY) if mode == "L" else COLOURS)).max() <= tolerance


def test_a_cmyk_jpeg_as_adobe_inverts_it_comes_out_right() -> None:
    data = pictures.encode(PICTURE.convert("CMYK"), "JPEG", quality=100, subsampling=0)
    place = data.index(b"\xff\xee")
    assert data[place + 4 : place + 9] == b"Adobe"
    assert np.abs(decoded(data) - COLOURS).max() <= 6


def test_cmyk_ycbcr_and_lab_tiffs_are_read() -> None:
    assert (decoded(pictures.encode(PICTURE.convert("CMYK"), "TIFF")) == COLOURS).all()
    assert np.abs(decoded(pictures.encode(PICTURE.convert("YCbCr"), "TIFF")) - COLOURS).max() <= 4
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.buildTransform(*profiles, "RGB", "LAB").apply(PICTURE)
    assert np.abs(decoded(pictures.encode(lab, "TIFF")) - COLOURS).max() <= 20


@pytest.mark.parametrize("name", ["png", "little tiff", "big tiff", "pgm"])
def test_16_bit_grey_is_scaled_not_clipped(name: str) -> None:
    data = {
        "png": lambda: pictures.png(DEEP, 0),
        "little tiff": lambda: pictures.encode(Image.fromarray(DEEP), "TIFF"),
        "big tiff": lambda: big_endian_tiff(DEEP),
        "pgm": lambda: b"P5 64 48 65535\n" + DEEP.astype(">u2").tobytes(),
    }[name]()
    assert (decoded(data) == as_rgb(GREY)).all()


@pytest.mark.parametrize("type", ["u1", "u2", "f4"])
def test_a_tiff_whose_white_is_zero_is_inverted_at_every_depth(type: str) -> None:
    values = GREY.astype(type) * (257 if type == "u2" else 1)
    data = bytearray(pictures.encode(Image.fromarray(values), "TIFF"))
    place = data.index(struct.pack("<HHI", 262, 3, 1))
    data[place + 8] = 0
    assert (decoded(bytes(data)) == 255 - as_rgb(GREY)).all()


def big_endian_tiff(pixels: NDArray[np.uint16]) -> bytes:
    height, width = pixels.shape
    body = pixels.astype(">u2").tobytes()
    tags = [(256, width), (257, height), (258, 16), (259, 1), (262, 1), (277, 1), (278, height)]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    entries += struct.pack(">HHII", 273, 4, 1, 8) + struct.pack(">HHII", 279, 4, 1, len(body))
    ordered = b"".join(sorted(entries[at : at + 12] for at in range(0, len(entries), 12)))
    start = struct.pack(">2sHI", b"MM", 42, 8 + len(body))
    return start + body + struct.pack(">H", len(tags) + 2) + ordered + bytes(4)


def test_16_bit_colour_is_scaled_not_clipped() -> None:
    deep = COLOURS.astype(np.uint16) * 257
    assert (decoded(pictures.png(deep, 2)) == COLOURS).all()


@pytest.mark.parametrize("white", [1.0, 255.0])
def test_a_float_tiff_is_scaled_by_its_white(white: float) -> None:
    values = (GREY / 255 * white).astype(np.float32)
    assert values.max() < 0.9 * white  # not merely stretched to its own greatest value
    assert (decoded(pictures.encode(Image.fromarray(values), "TIFF")) == as_rgb(GREY)).all()


@pytest.mark.parametrize("white", [255, 65535])
def test_32_bit_integers_are_scaled_by_their_white(white: int) -> None:
    values = np.rint(GREY / 255 * white).astype(np.int32)
    assert (decoded(pictures.encode(Image.fromarray(values), "TIFF")) == as_rgb(GREY)).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[-1, 0, 1]], np.float32), [0, 128, 255]),
        (np.array([[0, 500, 1000]], np.float32), [0, 128, 255]),
        (np.array([[-70000, 0, 70000]], np.int32), [0, 128, 255]),
        (np.array([[np.nan, np.inf, 0.2, 1]], np.float32), [0, 0, 51, 255]),
        (np.array([[5000, 5000]], np.float32), [0, 0]),
        (np.array([[128, 128]], np.float32), [128, 128]),
        (np.array([[-3, -3]], np.int32), [0, 0]),
        (np.array([[np.nan, np.nan]], np.float32), [0, 0]),
    ],
)  # fmt: skip
def test_other_ranges_are_stretched_and_flat_or_endless_ones_survive(
    values: NDArray[np.generic], expected: list[int]
) -> None:
    assert np.asarray(to_rgb(Image.fromarray(values)))[0, :, 0].tolist() == expected


@given(hnp.arrays(np.float32, (3, 4)) | hnp.arrays(np.int32, (3, 4)))
def test_any_numbers_become_a_picture(values: NDArray[np.generic]) -> None:
    assert to_rgb(Image.fromarray(values)).mode == "RGB"


@given(st.integers(0, 65535))
def test_16_bits_are_rounded_as_division_rounds(value: int) -> None:
    assert to_8_bits(np.array([value], np.uint16))[0] == round(value / 257)


@pytest.mark.parametrize(
    "array",
    [
        COLOURS,
        COLOURS.astype(np.uint16) * 257,
        (COLOURS.astype(np.uint16) * 257).astype(">u2"),
        COLOURS / 255,
        (COLOURS / 255).astype(np.float32),
        (COLOURS / 255).astype(np.float16),
        (COLOURS / 255).astype(">f4"),
    ],
    ids=lambda array: array.dtype.str,
)
def test_arrays_of_every_type_give_the_same_pixels(array: NDArray[np.generic]) -> None:
    before = array.copy()
    assert (to_8_bits(array) == COLOURS).all()
    assert (array == before).all()


def test_bool_arrays_are_black_and_white_and_roundings_are_forgiven() -> None:
    assert to_8_bits(np.array([False, True])).tolist() == [0, 255]
    assert to_8_bits(np.array([-1e-7, 1.0000002])).tolist() == [0, 255]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.array([0.5, 1.5]), r"received 0\.5\.\.1\.5"),
        (np.array([-0.5, 1.0]), r"received -0\.5\.\.1"),
        (np.array([np.nan]), r"received nan\.\.nan"),
        (np.array([1, 2]), "received int64"),
        (np.array([1j]), "received complex128"),
        (np.array(["a"]), "received <U1"),
        (np.array([None]), "received object"),
    ],
)
def test_arrays_of_other_types_or_ranges_are_refused(
    array: NDArray[np.generic], message: str
) -> None:
    with pytest.raises(PictureError, match=message) as caught:
        to_8_bits(array)
    assert caught.value.kind == "unsupported"


# Where the file's pixels come from, seen from the upright picture (EXIF 2.32, tag 0x0112).
ORIENTATIONS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "MPO"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_exif_orientation_comes_out_upright(orientation: int, format: str) -> None:
    stored = np.ascontiguousarray(ORIENTATIONS[orientation](COLOURS))
    exif = Image.Exif()
    exif[0x0112] = orientation
    quality = {} if format in ("PNG", "TIFF") else {"quality": 95}
    result = decoded(pictures.encode(stored, format, exif=exif, **quality))
    assert result.shape == COLOURS.shape
    assert np.abs(result - COLOURS).max() <= 16
    # The corners differ by far more, so that no other turn could pass.
    assert np.abs(np.rot90(COLOURS, 2).astype(int) - COLOURS).max() > 100


@pytest.mark.parametrize("orientation", [0, 9, 65535, -1])
def test_an_orientation_that_does_not_exist_is_upright(orientation: int) -> None:
    assert (np.asarray(to_rgb(PICTURE, orientation)) == COLOURS).all()


@pytest.mark.parametrize(
    "exif",
    [
        b"Exif\0\0",
        b"Exif\0\0MM\0*\0\0\0\x08\xff\xff",
        b"Exif\0\0II*\0\xff\xff\xff\xff",
        b"Exif\0\0garbage garbage garbage",
        b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x02\0\0\0\x04abc\0\0\0\0\0",
    ],
)
def test_broken_exif_costs_the_orientation_not_the_picture(exif: bytes) -> None:
    data = pictures.encode(PICTURE, "JPEG", quality=95)
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    assert np.abs(decoded(data[:2] + segment + data[2:]) - COLOURS).max() <= 12
