"""Values of more than 8 bits are seen through the window that was asked for, all others as
they are."""

from __future__ import annotations

import math
import struct
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from tests.support import pictures
from topfive.errors import PictureError
from topfive.networks.cards import choose_recipe
from topfive.networks.published import NETWORKS
from topfive.pictures import decoding, pixels, preparation
from topfive.pictures.pixels import to_8_bits, windowed
from topfive.sources.source import MAX_PIXELS

pytestmark = pytest.mark.slow

WINDOW = (-160.0, 240.0)
COLOURS = pictures.colours()
# Values under, at, between, at and over the ends, and what they become.
VALUES = [-3000, -160, -159, 40, 239, 240, 3000]
SHADES = [0, 0, 1, 128, 254, 255, 255]


def exact(value: float, low: float, high: float) -> int:
    share = (Fraction(value) - Fraction(low)) / (Fraction(high) - Fraction(low))
    return round(255 * min(max(share, Fraction(0)), Fraction(1)))


@given(
    st.lists(st.integers(-40_000, 40_000), min_size=1, max_size=40),
    st.integers(-5_000, 5_000),
    st.integers(1, 10_000),
)
def test_whole_numbers_are_shaded_exactly_with_halves_to_the_even(
    values: list[int], low: int, width: int
) -> None:
    shades = windowed(np.array(values, np.int32), low, low + width)
    assert shades.dtype == np.uint8
    assert shades.tolist() == [exact(value, low, low + width) for value in values]


def test_a_half_goes_to_the_even_number() -> None:
    assert windowed(np.array([1, 3, 5, 7]), 0, 510).tolist() == [0, 2, 2, 4]


def test_the_full_range_of_16_bits_is_what_no_window_gives() -> None:
    every = np.arange(65536, dtype=np.uint16)
    assert np.array_equal(windowed(every, 0, 65535), to_8_bits(every))


@pytest.mark.parametrize("type", ["i2", "i4", "i8", "f2", "f4", "f8", ">i2", ">f4"])
def test_arrays_of_hounsfield_units_need_no_preparation(type: str) -> None:
    array = np.array([VALUES], type)
    before = array.copy()
    grey = np.asarray(decoding.from_array(array, window=WINDOW))
    assert grey.tolist() == [[[shade] * 3 for shade in SHADES]]
    assert np.array_equal(array, before)


@pytest.mark.parametrize("type", ["u2", ">u2", "u4", "u8"])
def test_the_window_is_in_the_values_of_unsigned_arrays_too(type: str) -> None:
    array = np.array([[0, 1000, 1500, 2000, 65535]], type)
    shades = np.asarray(decoding.from_array(array, window=(1000, 2000)))[0, :, 0]
    assert shades.tolist() == [0, 0, 128, 255, 255]


def test_what_is_no_number_is_black_and_the_endless_is_an_end() -> None:
    array = np.array([[math.nan, -math.inf, math.inf, 0.5]])
    shades = np.asarray(decoding.from_array(array, window=(0, 1)))[0, :, 0]
    assert shades.tolist() == [0, 0, 255, 128]
    with pytest.raises(PictureError, match="received nan"):
        decoding.from_array(array)


def test_many_values_are_shaded_part_by_part(monkeypatch: pytest.MonkeyPatch) -> None:
    array = np.random.default_rng(5).integers(-2000, 2000, (97, 41), np.int16)
    whole = windowed(array, -500, 700)
    seen = []

    def shade(part: NDArray[Any]) -> NDArray[np.uint8]:
        seen.append(part.size)
        return windowed(part, -500, 700)

    monkeypatch.setattr(pixels, "PART", 1000)
    by_parts = pixels.by_parts(shade, array)
    assert np.array_equal(by_parts, whole)
    assert seen == [1000, 1000, 1000, 977]
    assert np.array_equal(windowed(array.T, -500, 700), whole.T)


@pytest.mark.parametrize(
    "array",
    [COLOURS, COLOURS[:, :, 0], COLOURS[:, :, 0] > 100],
    ids=["colours", "grey", "black and white"],
)
def test_arrays_of_8_bits_are_as_they_are(array: NDArray[Any]) -> None:
    plain = np.asarray(decoding.from_array(array))
    assert np.array_equal(np.asarray(decoding.from_array(array, window=WINDOW)), plain)


def test_integers_without_a_window_and_of_8_signed_bits_are_refused() -> None:
    for array, window in ((np.array([[1]]), None), (np.array([[1]], np.int8), WINDOW)):
        with pytest.raises(PictureError, match="expected an array of uint8"):
            decoding.from_array(array, window=window)


@pytest.mark.parametrize(("type", "opaque"), [("u2", 65535), ("f4", 1)])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_not_seen_through_the_window(type: str, opaque: int, channels: int) -> None:
    array = np.full((1, 2, channels), 1500, type)
    array[0, :, -1] = [0, opaque]
    shades = np.asarray(decoding.from_array(array, window=(1000, 2000)))
    assert shades.tolist() == [[[255] * 3, [128] * 3]]


DEEP = np.array([[0, 999, 1000, 1500, 2000, 65535]], np.uint16)
SEEN = [0, 0, 0, 128, 255, 255]
FILES = {
    "png": pictures.png(DEEP, 0),
    "tiff": pictures.encode(Image.fromarray(DEEP), "TIFF"),
    "integer tiff": pictures.encode(Image.fromarray(DEEP.astype(np.int32)), "TIFF"),
    "float tiff": pictures.encode(Image.fromarray(DEEP.astype(np.float32)), "TIFF"),
    "pgm": b"P5 6 1 65535\n" + DEEP.astype(">u2").tobytes(),
    "jpeg 2000": pictures.encode(Image.fromarray(DEEP), "JPEG2000"),
}


@pytest.mark.parametrize("keras", [False, True])
@pytest.mark.parametrize("name", FILES)
def test_deep_grey_files_are_seen_through_the_window(name: str, keras: bool) -> None:
    picture = decoding.decode(FILES[name], keras=keras, window=(1000, 2000))[0]
    assert np.asarray(picture)[0, :, 0].tolist() == SEEN
    other = decoding.decode(FILES[name], keras=keras)[0]
    assert np.asarray(other)[0, :, 0].tolist() != SEEN


def test_a_signed_tiff_keeps_its_negative_values() -> None:
    # Pillow writes none of 16 signed bits, so the tag is put in: sample format 2.
    values = np.array([VALUES], np.int16)
    data = pictures.encode(Image.fromarray(values.view(np.uint16)), "TIFF", tiffinfo={339: 2})
    assert np.asarray(decoding.decode(data, window=WINDOW)[0])[0, :, 0].tolist() == SHADES


def test_a_pillow_picture_is_seen_through_the_window() -> None:
    picture = decoding.from_image(Image.fromarray(DEEP), window=(1000, 2000))
    assert np.asarray(picture)[0, :, 0].tolist() == SEEN


def test_the_transparent_value_of_a_png_is_white_whatever_the_window() -> None:
    chunk = pictures.png_chunk(b"tRNS", struct.pack(">H", 999))
    picture = decoding.decode(pictures.png(DEEP, 0, chunk), window=(1000, 2000))[0]
    assert np.asarray(picture)[0, :, 0].tolist() == [0, 255, *SEEN[2:]]


@pytest.mark.parametrize("name", ["jpeg", "png", "palette"])
def test_files_of_8_bits_are_as_they_are(name: str) -> None:
    data = {
        "jpeg": lambda: pictures.encode(COLOURS, "JPEG"),
        "png": lambda: pictures.encode(COLOURS, "PNG"),
        "palette": lambda: pictures.encode(Image.fromarray(COLOURS).convert("P"), "GIF"),
    }[name]()
    plain = np.asarray(decoding.decode(data)[0])
    assert np.array_equal(np.asarray(decoding.decode(data, window=(1000, 2000))[0]), plain)


@pytest.mark.parametrize("colour_type", [2, 4], ids=["deep colours", "deep grey, alpha"])
def test_colours_of_16_bits_are_seen_through_the_window(colour_type: int) -> None:
    deep = COLOURS.astype(np.uint16) * 257
    deep[:, :, 1] = 65535
    pixels = deep if colour_type == 2 else deep[:, :, :2]
    picture = decoding.decode(pictures.png(pixels, colour_type), window=(1000, 20_000))[0]
    assert np.array_equal(np.asarray(picture)[:, :, 0], windowed(deep[:, :, 0], 1000, 20_000))


@pytest.mark.parametrize("name", ["default", "tutorial"])
@pytest.mark.parametrize("form", ["bytes", "Pillow", "array"])
def test_the_recipes_window_reaches_every_form_of_a_picture(form: str, name: str) -> None:
    recipe = choose_recipe(NETWORKS["squeezenet"], name, window=(1000, 2000))
    content = {
        "bytes": FILES["png"],
        "Pillow": Image.fromarray(DEEP),
        "array": DEEP,
    }[form]
    picture, size = preparation.decode(content, recipe, MAX_PIXELS)
    assert np.asarray(picture)[0, :, 0].tolist() == SEEN
    assert size == (6, 1)


def test_without_a_window_the_tutorials_recipe_still_clips() -> None:
    recipe = choose_recipe(NETWORKS["squeezenet"], "tutorial")
    picture, _ = preparation.decode(FILES["png"], recipe, MAX_PIXELS)
    assert np.asarray(picture)[0, :, 0].tolist() == [0, *[255] * 5]
