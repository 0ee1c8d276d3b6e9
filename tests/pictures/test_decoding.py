"""Limits, arrays, and the network's square."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image

from tests.support import pictures
from tests.support.photographs import PHOTOGRAPHS, variations
from topfive.errors import PictureError
from topfive.networks.cards import FILTERS, FITS, Recipe, choose_recipe
from topfive.networks.published import NETWORKS
from topfive.pictures import decoding, squares

# The tolerance that is stated at `images.DRAFT`, in levels of 255.
MEAN, MOST = 0.7, 10

COLOURS = pictures.colours()
PNG = pictures.encode(COLOURS, "PNG")


@pytest.fixture(autouse=True)
def pillows_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow's limit is the process's; each test starts with the one it ships with."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 89_478_485)


def failure(data: bytes, **options: Any) -> PictureError:
    with pytest.raises(PictureError) as caught:
        decoding.decode(data, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_empty_file_is_empty() -> None:
    assert failure(b"").kind == "empty"


def test_the_limit_moves_both_ways() -> None:
    assert decoding.decode(PNG, max_pixels=64 * 48)[0].size == (64, 48)
    error = failure(PNG, max_pixels=64 * 48 - 1)
    assert error.kind == "too-large"
    assert str(error) == "64 x 48 pixels are over the limit of 3,071 (--max-pixels)"


@pytest.mark.parametrize("side", [9_900, 12_000, 30_000])
def test_pillows_own_limit_does_not_show(side: int) -> None:
    """Under our limit and over Pillow's (a warning), over both, over twice Pillow's (an
    error); with a limit that allows it, the header is believed and the pixels are missing."""
    data = pictures.png(COLOURS, 2, size=(side, side))
    error = failure(data)
    assert error.kind == ("broken" if side == 9_900 else "too-large")
    assert "100,000,000" in str(error) or side == 9_900
    assert failure(data, max_pixels=side * side - 1).kind == "too-large"


@pytest.mark.parametrize("limit", [64 * 48 - 1, 100])  # a warning, and an error
def test_a_picture_over_pillows_limit_is_read_where_ours_allows_it(limit: int) -> None:
    Image.MAX_IMAGE_PIXELS = limit
    with pytest.raises((Image.DecompressionBombWarning, Image.DecompressionBombError)):
        Image.open(io.BytesIO(PNG))
    assert decoding.decode(PNG, max_pixels=5_000)[0].size == (64, 48)
    assert Image.MAX_IMAGE_PIXELS == 5_000
    decoding.allow_pixels(10)
    assert Image.MAX_IMAGE_PIXELS == 5_000


def test_no_limit_of_the_user_is_lowered_or_set() -> None:
    Image.MAX_IMAGE_PIXELS = None
    decoding.decode(PNG, max_pixels=10_000)
    assert Image.MAX_IMAGE_PIXELS is None


MEMORY = """
import resource, sys
from PIL import Image
from topfive.pictures import decoding as images
from topfive.errors import PictureError

Image.init()
data = sys.stdin.buffer.read()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    images.decode(data)
except PictureError as error:
    print(error.kind)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def huge_png() -> bytes:
    rows = zlib.compressobj(9)
    body = b"".join(rows.compress(bytes(1 + 3 * 11_000)) for _ in range(11_000)) + rows.flush()
    data = pictures.png(np.zeros((1, 1, 3), np.uint8), 2, size=(11_000, 11_000))
    place = data.index(b"IDAT") - 4
    return data[:place] + pictures.png_chunk(b"IDAT", body) + pictures.png_chunk(b"IEND", b"")


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        huge_png,
        lambda: pictures.encode(
            Image.new("L", (12_000, 12_000)), "TIFF", compression="tiff_adobe_deflate"
        ),
        # Canvas sizes in the header: GIF's screen, WebP's VP8X chunk.
        lambda: b"GIF89a" + b"\xff\xff\xff\xff\x80\0\0" + bytes(6) + b"," + bytes(4)
        + b"\xff\xff\xff\xff\0\2\2\x44\1\0;",
        lambda: b"RIFF\x2a\0\0\0WEBPVP8X\x0a\0\0\0\2\0\0\0\xff\x3f\0\xff\x3f\0"
        + b"ANIM\6\0\0\0" + bytes(6),
    ],
    ids=["png", "tiff", "gif", "webp"],
)  # fmt: skip
def test_a_gigantic_picture_is_refused_from_its_header(make: Any) -> None:
    run = subprocess.run([sys.executable, "-c", MEMORY], input=make(), capture_output=True)
    kind, kilobytes = run.stdout.split()
    assert kind in (b"too-large", b"broken")
    assert int(kilobytes) < 20_000
    assert run.stderr == b""


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1), (3, 7)])
@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "BMP"])
def test_extreme_shapes_are_read(size: tuple[int, int], format: str) -> None:
    assert decoding.decode(pictures.encode(Image.new("RGB", size), format))[0].size == size


def test_a_pillow_picture_is_checked_loaded_and_left_alone(tmp_path: Path) -> None:
    grey = Image.fromarray(COLOURS).convert("L")
    assert decoding.from_image(grey).mode == "RGB"
    assert grey.mode == "L"
    with pytest.raises(PictureError, match="over the limit") as caught:
        decoding.from_image(grey, max_pixels=100)
    assert caught.value.kind == "too-large"
    with pytest.raises(PictureError, match="no pixels") as caught:
        decoding.from_image(Image.new("RGB", (0, 5)))
    assert caught.value.kind == "empty"
    with Image.open(io.BytesIO(PNG[:-40])) as cut, pytest.raises(PictureError) as caught:
        decoding.from_image(cut)
    assert caught.value.kind == "broken"


def test_warnings_are_passed_over_only_while_a_picture_is_read() -> None:
    """In eight threads at once, and without touching the filters that the user has set."""
    colours = Image.fromarray(COLOURS).convert("P")
    palette = pictures.encode(colours, "PNG", transparency=bytes(range(9)))
    before = list(warnings.filters)
    problems: list[BaseException] = []

    def work() -> None:
        try:
            for _ in range(100):
                decoding.decode(palette, keras=True)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert warnings.filters == before
    with Image.open(io.BytesIO(palette)) as picture, pytest.warns(UserWarning, match="Palette"):
        picture.convert("RGB")


@pytest.mark.parametrize("channels", [None, 1, 2, 3, 4])
@pytest.mark.parametrize("type", [np.uint8, np.uint16, np.float32, np.bool_])
def test_arrays_of_every_shape_and_type_become_pictures(channels: int | None, type: Any) -> None:
    array = np.ones((5, 7) if channels is None else (5, 7, channels), type)
    white = {np.uint8: 1, np.uint16: 0}.get(type, 255)
    picture = decoding.from_array(array)
    assert picture.size == (7, 5)
    assert picture.mode == "RGB"
    opaque = white if channels in (None, 1, 3) else 255 - round((255 - white) * white / 255)
    assert np.abs(np.asarray(picture).astype(int) - opaque).max() <= 1


def test_arrays_in_any_memory_order_keep_their_pixels() -> None:
    for view in (COLOURS[::-1, ::2], np.asfortranarray(COLOURS), COLOURS[:, :, ::-1]):
        assert (np.asarray(decoding.from_array(view)) == view).all()


@pytest.mark.parametrize("shape", [(), (5,), (5, 7, 5), (5, 7, 0), (0, 7), (2, 5, 7, 3)])
def test_arrays_of_other_shapes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PictureError, match="expected an array of shape") as caught:
        decoding.from_array(np.zeros(shape, np.uint8))
    assert caught.value.kind == "unsupported"


def test_an_array_over_the_limit_is_refused() -> None:
    with pytest.raises(PictureError, match="over the limit"):
        decoding.from_array(np.zeros((20, 20), np.uint8), max_pixels=399)


@given(
    hnp.arrays(
        st.sampled_from([np.uint8, np.uint16, np.bool_]),
        st.tuples(st.integers(1, 9), st.integers(1, 9))
        | st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4)),
    )
)
def test_any_array_of_whole_numbers_is_a_picture(array: NDArray[np.generic]) -> None:
    picture = decoding.from_array(array)
    assert (picture.mode, picture.size) == ("RGB", array.shape[1::-1])


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(
    width=st.integers(1, 700),
    height=st.integers(1, 700),
    fit=st.sampled_from(FITS),
    filter=st.sampled_from(FILTERS),
    size=st.sampled_from([1, 32, 224, 299]),
    short_side=st.sampled_from([1, 32, 256, 342]),
)
def test_every_shape_becomes_the_square(
    width: int, height: int, fit: str, filter: str, size: int, short_side: int
) -> None:
    picture = Image.new("RGB", (width, height), (90, 140, 20))
    square = squares.fit(picture, size, Recipe(fit, filter, short_side))
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8
    assert square.flags.writeable
    if fit != "pad":  # no edge, no fill from outside the picture
        assert (square == (90, 140, 20)).all()


def plain_crop(picture: Image.Image, size: int, recipe: Recipe) -> NDArray[np.uint8]:
    """What torchvision's Resize(short_side) and CenterCrop(size) compute."""
    width, height = picture.size
    if width <= height:
        scaled = (recipe.short_side, int(recipe.short_side * height / width))
    else:
        scaled = (int(recipe.short_side * width / height), recipe.short_side)
    resized = picture.resize(scaled, Image.Resampling[recipe.filter.upper()])
    top = round((resized.height - size) / 2.0)
    left = round((resized.width - size) / 2.0)
    return np.asarray(resized)[top : top + size, left : left + size]


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(30, 900),
    height=st.integers(30, 900),
    filter=st.sampled_from(FILTERS),
    sizes=st.sampled_from([(224, 256), (299, 342), (299, 333), (227, 256)]),
)
def test_crop_is_resize_then_centre_crop(
    width: int, height: int, filter: str, sizes: tuple[int, int]
) -> None:
    picture = Image.fromarray(pictures.colours(width, height))
    recipe = Recipe("crop", filter, sizes[1])
    assert (squares.fit(picture, sizes[0], recipe) == plain_crop(picture, sizes[0], recipe)).all()


def test_stretch_is_pillows_resize_and_pad_keeps_the_shape() -> None:
    picture = Image.fromarray(pictures.colours(400, 100))
    stretched = squares.fit(picture, 64, Recipe("stretch", "bicubic", 0))
    assert (stretched == np.asarray(picture.resize((64, 64), Image.Resampling.BICUBIC))).all()
    padded = squares.fit(picture, 64, Recipe("pad", "bicubic", 0))
    inner = np.asarray(picture.resize((64, 16), Image.Resampling.BICUBIC))
    assert (padded[24:40] == inner).all()
    assert (padded[:24] == squares.MEAN_COLOUR).all()
    assert (padded[40:] == squares.MEAN_COLOUR).all()


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("filter", ["nearest", "bicubic"])
@pytest.mark.parametrize("size", [(1, 20_000), (20_000, 1), (10, 300_000), (300_000, 10)])
def test_strips_become_squares_too(size: tuple[int, int], filter: str, fit: str) -> None:
    picture = Image.new("RGB", size, (90, 140, 20))
    square = squares.fit(picture, 224, Recipe(fit, filter, 256))
    assert (square[111, 111] == (90, 140, 20)).all()


STRIP_MEMORY = """
import resource, sys
from PIL import Image
from topfive.pictures import squares
from topfive.networks.cards import Recipe

strip = Image.new("RGB", (10_000_000, 1))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
squares.fit(strip, 224, Recipe(sys.argv[1], "bicubic", 256))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("fit", FITS)
def test_a_strip_costs_no_memory_for_its_length(fit: str) -> None:
    run = subprocess.run([sys.executable, "-c", STRIP_MEMORY, fit], capture_output=True, check=True)
    assert int(run.stdout) < 60_000  # kilobytes; the filter's weights would be 320 MB


def test_a_strip_looks_as_it_would_without_the_shortcut() -> None:
    picture = Image.fromarray(pictures.colours(13_000, 100))
    square = squares.fit(picture, 64, Recipe("stretch", "bicubic", 0))
    plain = np.asarray(picture.resize((64, 64), Image.Resampling.BICUBIC))
    assert np.abs(square.astype(int) - plain).max() <= 2


TUTORIAL = {
    "rgb": lambda: pictures.encode(COLOURS, "JPEG"),
    "grey": lambda: pictures.encode(Image.fromarray(COLOURS).convert("L"), "JPEG"),
    "palette": lambda: pictures.encode(Image.fromarray(COLOURS).convert("P"), "PNG"),
    "clear palette": lambda: pictures.encode(
        Image.fromarray(COLOURS).convert("P"), "PNG", transparency=7
    ),
    "rgba": lambda: pictures.encode(Image.fromarray(COLOURS).convert("RGBA"), "PNG"),
    "half clear": lambda: pictures.encode(np.dstack([COLOURS, COLOURS[:, :, :1]]), "PNG"),
    "cmyk": lambda: pictures.encode(Image.fromarray(COLOURS).convert("CMYK"), "JPEG"),
    "16 bits": lambda: pictures.png(COLOURS[:, :, 0].astype(np.uint16) * 257, 0),
    "turned": lambda: pictures.encode(COLOURS, "JPEG", exif=turned()),
    "turned tiff": lambda: pictures.encode(COLOURS, "TIFF", exif=turned()),
    "animation": lambda: pictures.encode(
        COLOURS, "GIF", save_all=True, append_images=[Image.new("RGB", (64, 48))]
    ),
}


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def keras_square(file: Path, size: int) -> NDArray[np.float32]:
    import keras

    picture = keras.utils.load_img(str(file), target_size=(size, size))
    return np.asarray(keras.utils.img_to_array(picture), np.float32)


@pytest.mark.parametrize("name", TUTORIAL)
@pytest.mark.parametrize("size", [224, 48, 7])
def test_the_tutorials_recipe_equals_keras_to_the_bit(tmp_path: Path, name: str, size: int) -> None:
    file = tmp_path / "picture"
    file.write_bytes(TUTORIAL[name]())
    recipe = choose_recipe(NETWORKS["vgg16"], "tutorial")
    square = squares.fit(decoding.decode(file.read_bytes(), keras=True)[0], size, recipe)
    assert (square == keras_square(file, size)).all()


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    """Photographs as they are, and parts of them, of many sides, as JPEG files."""
    files = list(PHOTOGRAPHS.values())
    for number, name in enumerate(PHOTOGRAPHS):
        for turn, side in enumerate((97 + 30 * number, 500 - 31 * number)):
            (picture,) = variations(name, 1, side)
            cut = picture.crop((0, 0, side - 20 * turn * number, side - 20 * (1 - turn) * number))
            files.append(tmp_path / f"{name} {side}.jpg")
            cut.save(files[-1], quality=75 + 3 * number, subsampling=number % 3)
    return files


@pytest.mark.slow
def test_the_tutorials_recipe_equals_keras_on_real_photographs(photographs: list[Path]) -> None:
    for network in ("vgg16", "xception"):
        card = NETWORKS[network]
        recipe = choose_recipe(card, "tutorial")
        for file in photographs[:: 1 if network == "vgg16" else 3]:
            picture = decoding.decode(file.read_bytes(), keras=recipe.keras_decoding)[0]
            square = squares.fit(picture, card.size, recipe)
            assert (square == keras_square(file, card.size)).all(), file.name


@pytest.mark.slow
def test_crop_is_resize_then_centre_crop_on_real_photographs(photographs: list[Path]) -> None:
    recipe = NETWORKS["vgg16"].recipe
    for file in photographs:
        picture = decoding.decode(file.read_bytes())[0]
        assert (squares.fit(picture, 224, recipe) == plain_crop(picture, 224, recipe)).all()


def enlarged(file: Path, short_side: int, part: int, kind: str = "RGB") -> bytes:
    """Return a photograph as a camera's JPEG: its short side at least so long, both sides
    divisible by `part`."""
    with Image.open(file) as picture:
        scale = short_side / min(picture.size)
        width, height = (-(-round(side * scale) // part) * part for side in picture.size)
        large = picture.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
    if kind == "noise":  # a camera's: without it there is nothing finer than the enlargement
        noise = np.random.default_rng(0).normal(0, 12, (height, width, 1)).astype(np.int16)
        large = Image.fromarray(np.clip(np.asarray(large) + noise, 0, 255).astype(np.uint8))
    elif kind != "RGB":
        large = large.convert(kind)
    return pictures.encode(large, "JPEG", quality=92)


DRAFTED = [
    (224, Recipe("crop", "bicubic", 256)), (227, Recipe("stretch", "bicubic", 256)),
    (299, Recipe("crop", "lanczos", 342)), (224, Recipe("pad", "bilinear", 256)),
    (224, Recipe("stretch", "hamming", 256)),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["RGB", "noise", "L", "CMYK"])
@pytest.mark.parametrize("part", [2, 4])
def test_a_drafts_square_is_the_wholes_to_the_stated_tolerance(part: int, kind: str) -> None:
    for (size, recipe), file in zip(DRAFTED, list(PHOTOGRAPHS.values())[3:], strict=True):
        side = squares.draft_side(size, recipe)
        assert side is not None
        data = enlarged(file, part * side, part, kind)
        whole, true_size = decoding.decode(data)
        draft, same_size = decoding.decode(data, draft=side)
        assert true_size == same_size == whole.size
        assert draft.size == (whole.width // part, whole.height // part)
        expected = squares.fit(whole, size, recipe)
        difference = np.abs(squares.fit(draft, size, recipe).astype(int) - expected)
        assert difference.mean() <= MEAN
        assert difference.max() <= MOST


@pytest.mark.slow
def test_a_draft_takes_less_time() -> None:
    data = enlarged(PHOTOGRAPHS["temple"], 3_632, 4)

    def seconds(draft: int | None) -> float:
        start = time.perf_counter()
        decoding.decode(data, draft=draft)
        return time.perf_counter() - start

    assert min(seconds(908) for _ in range(3)) < 0.8 * min(seconds(None) for _ in range(3))


@settings(max_examples=60, deadline=None)
@given(width=st.integers(1, 1200), height=st.integers(1, 1200), side=st.integers(1, 300))
def test_a_draft_divides_the_sides_evenly_and_keeps_enough(
    width: int, height: int, side: int
) -> None:
    data = pictures.encode(Image.new("L", (width, height)), "JPEG")
    draft, whole = decoding.decode(data, draft=side)
    assert whole == (width, height)
    part = width // draft.width
    assert (draft.width * part, draft.height * part) == whole
    assert part == 1 or min(draft.size) >= side
    assert part == 8 or any(n % (2 * part) for n in whole) or min(whole) < 2 * part * side


@pytest.mark.parametrize("filter", ["nearest", "box"])
@pytest.mark.parametrize("fit", FITS)
def test_a_filter_that_takes_whole_pixels_has_no_draft(filter: str, fit: str) -> None:
    assert squares.draft_side(224, Recipe(fit, filter, 256)) is None


def test_a_crop_is_drafted_from_its_short_side() -> None:
    assert squares.draft_side(224, Recipe("crop", "bicubic", 256)) == squares.DRAFT * 256
    assert squares.draft_side(224, Recipe("crop", "bicubic", 200)) == squares.DRAFT * 224
    assert squares.draft_side(224, Recipe("stretch", "bicubic", 256)) == squares.DRAFT * 224


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_only_a_jpeg_is_drafted(format: str) -> None:
    data = pictures.encode(pictures.colours(640, 480), format)
    assert decoding.decode(data, draft=60)[0].size == (640, 480)


def test_a_draft_is_refused_by_the_size_of_the_whole() -> None:
    data = pictures.encode(pictures.colours(640, 480), "JPEG")
    with pytest.raises(PictureError, match="640 x 480 pixels are over the limit"):
        decoding.decode(data, max_pixels=300_000, draft=60)
    cut = data[: len(data) // 2]
    with pytest.raises(PictureError) as caught:
        decoding.decode(cut, draft=60)
    assert caught.value.kind == "broken"
