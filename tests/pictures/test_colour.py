"""The colours are those that the file describes, whatever format, kind of pixel or door: what is
in sRGB stays as it is, what is not becomes it, what cannot be understood costs no picture."""

from __future__ import annotations

import io
import logging
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from tests.support import pictures
from tests.support.photographs import PHOTOGRAPHS
from topfive import Classifier
from topfive.networks.cards import Recipe
from topfive.pictures import annotate, colour, decoding, preparation, profiles
from topfive.results import Classification, Prediction
from topfive.sources.source import MAX_PIXELS, Source

COLOURS = pictures.colours()
EXCHANGED = COLOURS[:, :, ::-1].copy()  # red for blue
GREY = np.asarray(Image.fromarray(COLOURS).convert("L"))
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# A profile by which the numbers of red and blue are exchanged.
BGR = SRGB.replace(b"rXYZ", b"----").replace(b"bXYZ", b"rXYZ").replace(b"----", b"bXYZ")


def profile(space: bytes, **tags: bytes) -> bytes:
    """Return an ICC profile of these elements. Source: ICC.1:2022, section 7."""
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, element in tags.items():
        table += struct.pack(">4sII", name.encode(), start + len(body), len(element))
        body += element + bytes(-len(element) % 4)
    kind, connection = (b"prtr", b"Lab ") if space == b"CMYK" else (b"mntr", b"XYZ ")
    head = struct.pack(">I4x4x4s4s4s12x4s28x3i", start + len(body), kind, space, connection,
                       b"acsp", 63190, 65536, 54061)  # fmt: skip
    return head[:8] + b"\2\x40\0\0" + head[12:].ljust(116, b"\0") + table + body


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0\0\0\0\1" + struct.pack(">H", round(exponent * 256))


GREY_GAMMA = profile(b"GRAY", wtpt=b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061),
                     kTRC=gamma(1))  # fmt: skip


def inks() -> bytes:
    """Return a profile for print in which cyan looks as yellow does and yellow as cyan."""
    nodes = np.array([[c, m, y] if not k else [255] * 3 for c in (0, 255) for m in (0, 255)
                      for y in (0, 255) for k in (0, 1)], np.uint8)  # fmt: skip
    shown = Image.fromarray(255 - nodes[None, :, ::-1].copy())
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"),
                                        ImageCms.createProfile("LAB"), "RGB", "LAB")  # fmt: skip
    lab = np.frombuffer(transform.apply(shown).tobytes(), np.uint8).copy().reshape(-1, 3)
    lab[:, 1:] += 128  # Pillow's are signed
    ramp = bytes(range(256))
    unit = struct.pack(">9i", *np.eye(3, dtype=int).reshape(-1) * 65536)
    head = b"mft1\0\0\0\0\4\3\2\0" + unit
    return profile(b"CMYK", A2B0=head + ramp * 4 + lab.tobytes() + ramp * 3)


def decoded(data: bytes, **options: Any) -> NDArray[np.int64]:
    return np.asarray(decoding.decode(data, **options)[0]).astype(np.int64)


def jpeg_2000(pixels: NDArray[np.uint8], icc: bytes) -> bytes:
    """Return a JPEG 2000 whose colours are described by a profile."""
    data = pictures.encode(pixels, "JPEG2000")
    place = data.index(b"colr") - 4
    (length,) = struct.unpack_from(">I", data, place)
    box = struct.pack(">I", 11 + len(icc)) + b"colr\2\0\0" + icc
    header = data.index(b"jp2h") - 4
    (whole,) = struct.unpack_from(">I", data, header)
    grown = struct.pack(">I", whole - length + len(box))
    return data[:header] + grown + data[header + 4 : place] + box + data[place + length :]


def bmp(pixels: NDArray[np.uint8], icc: bytes) -> bytes:
    """Return a BMP with a header of version 5 and a profile."""
    height, width, _ = pixels.shape
    rows = pixels[::-1, :, ::-1].tobytes()  # 64 pixels: no filling
    info = struct.pack("<IiiHHII", 124, width, height, 1, 24, 0, len(rows)).ljust(56, b"\0")
    info += b"DEBM" + bytes(48) + struct.pack("<4I", 4, 124 + len(rows), len(icc), 0)
    return struct.pack("<2sIII", b"BM", 138 + len(rows) + len(icc), 0, 138) + info + rows + icc


def psd(pixels: NDArray[np.uint8], icc: bytes) -> bytes:
    data = pictures.psd(pixels)
    resource = b"8BIM" + struct.pack(">HHI", 1039, 0, len(icc)) + icc + bytes(len(icc) % 2)
    return data[:30] + struct.pack(">I", len(resource)) + resource + data[34:]


FORMATS: dict[str, Callable[[NDArray[np.uint8], bytes], bytes]] = {
    "jpeg": lambda p, icc: pictures.encode(p, "JPEG", quality=95, subsampling=0, icc_profile=icc),
    "mpo": lambda p, icc: pictures.encode(p, "MPO", quality=95, subsampling=0, icc_profile=icc),
    "png": lambda p, icc: pictures.encode(p, "PNG", icc_profile=icc),
    "tiff": lambda p, icc: pictures.encode(p, "TIFF", icc_profile=icc),
    "webp": lambda p, icc: pictures.encode(p, "WEBP", lossless=True, icc_profile=icc),
    "avif": lambda p, icc: pictures.encode(p, "AVIF", quality=95, icc_profile=icc),
    "jpeg 2000": jpeg_2000,
    "bmp": bmp,
    "psd": psd,
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_profile_in_any_format_is_applied_and_one_of_srgb_changes_nothing(name: str) -> None:
    tolerance = {"jpeg": 12, "mpo": 12, "avif": 20}.get(name, 1)
    assert np.abs(decoded(FORMATS[name](EXCHANGED, BGR)) - COLOURS).max() <= tolerance
    plain = COLOURS if tolerance == 1 else decoded(FORMATS[name](COLOURS, b""))
    assert (decoded(FORMATS[name](COLOURS, SRGB)) == plain).all()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "PA", "clear colour", "clear palette"])
def test_every_kind_of_coloured_pixel_is_shown_by_its_profile(mode: str) -> None:
    blocks = np.array([[[200, 30, 60], [10, 220, 90]], [[70, 80, 230], [120, 10, 20]]], np.uint8)
    expected = blocks[:, :, ::-1].astype(np.int64)
    picture, options = Image.fromarray(blocks), dict[str, Any]()
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(np.array([[255, 0], [255, 255]], np.uint8)))
        expected[0, 1] = 255
    elif mode == "clear colour":
        options, expected[0, 1] = {"transparency": (10, 220, 90)}, 255
    elif mode != "RGB":
        picture = picture.quantize(4)
        if mode == "clear palette":
            index = picture.getpixel((1, 0))
            options, expected[0, 1] = {"transparency": index}, 255
    if mode == "PA":
        result = decoding.from_image(with_info(picture.convert("PA"), icc_profile=BGR))
        assert np.abs(np.asarray(result).astype(int) - expected).max() <= 1
        return
    data = pictures.encode(picture, "PNG", icc_profile=BGR, **options)
    assert np.abs(decoded(data) - expected).max() <= 1


def with_info(picture: Image.Image, **info: Any) -> Image.Image:
    picture.info.update(info)
    return picture


@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_grey_is_shown_by_a_profile_of_grey_and_by_the_curves_of_one_of_rgb(mode: str) -> None:
    linear = profiles.make_profile(profiles.SRGB, gamma(1))
    assert linear is not None
    expected = np.rint(255 * colour.encode_srgb(GREY / 255))[:, :, None]
    if mode == "I;16":
        data = pictures.encode(
            Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF", icc_profile=GREY_GAMMA
        )
        assert np.abs(decoded(data) - expected).max() <= 1
        return
    picture = Image.fromarray(GREY).convert(mode)
    for icc in (GREY_GAMMA, linear):
        result = decoded(pictures.encode(picture, "PNG", icc_profile=icc))
        assert np.abs(result - expected).max() <= 1
    same = decoded(pictures.encode(picture, "PNG", icc_profile=BGR))  # its curves are sRGB's
    assert np.abs(same - GREY[:, :, None].astype(int)).max() <= 1


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_inks_are_shown_by_their_profile(format: str) -> None:
    picture = Image.new("CMYK", (32, 32), (255, 0, 0, 0))
    result = decoded(pictures.encode(picture, format, icc_profile=inks()))[16, 16]
    assert np.abs(result - (255, 255, 0)).max() <= 12
    assert np.abs(decoded(pictures.encode(picture, format))[16, 16] - (0, 255, 255)).max() <= 12


def test_a_profile_with_a_table_is_applied_to_rgb() -> None:
    """As those of scanners and of XYB, whose channels are no red, green and blue."""
    ramp, unit = bytes(range(256)), struct.pack(">9i", *np.eye(3, dtype=int).reshape(-1) * 65536)
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"),
                                        ImageCms.createProfile("LAB"), "RGB", "LAB")  # fmt: skip
    steps = np.arange(0, 256, 17)
    nodes = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(1, -1, 3)
    lab = transform.apply(Image.fromarray(nodes[:, :, [1, 2, 0]].astype(np.uint8)))
    values = np.frombuffer(lab.tobytes(), np.uint8).copy().reshape(-1, 3)
    values[:, 1:] += 128
    table = b"mft1\0\0\0\0\3\3\x10\0" + unit + ramp * 3 + values.tobytes() + ramp * 3
    icc = bytearray(profile(b"RGB ", A2B0=table))
    icc[20:24] = b"Lab "
    stored = COLOURS[:, :, [2, 0, 1]].copy()
    result = decoded(pictures.encode(stored, "PNG", icc_profile=bytes(icc)))
    assert np.abs(result - COLOURS).max() <= 8


def xyb() -> tuple[bytes, NDArray[np.uint8]]:
    """Return the profile of a JPEG in XYB, and the colours of this page in it.

    Source: ISO/IEC 18181-1, annex L (opsin absorbance); the profile's form: ICC.1:2022, 10.12.
    """
    mix = np.array([[0.3, 0.622, 0.078], [0.23, 0.692, 0.078],
                    [0.24342268924547819, 0.20476744424496821, 0.5518098665095536]])  # fmt: skip
    bias = 0.0037930732552754493
    root = np.cbrt(bias)
    linear = np.where(
        COLOURS <= 10.31, COLOURS / 255 / 12.92, ((COLOURS / 255 + 0.055) / 1.055) ** 2.4
    )
    cones = np.cbrt(linear @ mix.T + bias) - root
    long, middle, short = np.moveaxis(cones, 2, 0)
    values = np.stack([(long - middle) / 2, (long + middle) / 2, short], 2)
    low, high = np.array([-0.05, 0, 0]), np.array([0.05, 1, 1])
    stored = np.rint((values - low) / (high - low) * 255).astype(np.uint8)
    # The table takes X, Y and B apart, the curves take their cubes, the matrix leads to XYZ.
    corners = np.array([[x, y, b] for x in (-0.05, 0.05) for y in (0, 1) for b in (0, 1)])
    apart = np.stack(
        [corners[:, 1] + corners[:, 0], corners[:, 1] - corners[:, 0], corners[:, 2]], 1
    )
    least, most = apart.min(0), apart.max(0)
    table = np.rint((apart - least) / (most - least) * 65535).astype(">u2")
    rgb_to_xyz = np.array(colour.SRGB).T
    matrix = rgb_to_xyz @ np.linalg.inv(mix) * (32768 / 65535)

    def fixed(*numbers: float) -> bytes:
        return struct.pack(f">{len(numbers)}i", *(round(one * 65536) for one in numbers))

    line = b"para" + bytes(8) + fixed(1)
    cubes = b"".join(b"para" + struct.pack(">4xHH", 3, 0) + fixed(3, size, at + root, 0, 0)
                     for size, at in zip(most - least, least, strict=True))  # fmt: skip
    grid = bytes([2, 2, 2]) + bytes(13) + b"\2\0\0\0" + table.tobytes()
    element = b"mAB " + bytes(4) + b"\3\3\0\0" + struct.pack(">5I", 32, 244, 148, 80, 32)
    element += (
        line * 3 + grid + cubes + fixed(*matrix.reshape(-1), *(matrix @ [-bias, -bias, -bias]))
    )
    return profile(b"RGB ", A2B0=element), stored


def test_a_picture_in_xyb_is_shown() -> None:
    icc, stored = xyb()
    result = decoded(
        pictures.encode(stored, "JPEG", quality=100, subsampling=0, keep_rgb=True, icc_profile=icc)
    )
    assert np.abs(result - COLOURS).max() <= 40  # 8 bits of XYB are few for dark blues
    assert np.abs(result - COLOURS).mean() <= 4


BROKEN = {
    "nonsense": b"no profile at all",
    "empty": b"\0",
    "cut off": BGR[:200],
    "zeros": BGR[:132] + bytes(len(BGR) - 132),
    "grey's": GREY_GAMMA,
    "print's": inks(),
    "another class": BGR[:12] + b"link" + BGR[16:],
    "huge": BGR + bytes(5 << 20),
}


@pytest.mark.parametrize(
    ("name", "format"),
    # A PNG that unpacks to so much is refused.
    [one for one in product(BROKEN, ["JPEG", "TIFF", "PNG"]) if one != ("huge", "PNG")],
)
def test_a_profile_that_cannot_be_used_is_ignored_with_a_word(
    name: str, format: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "topfive")
    colour._transform.cache_clear()
    options = {"quality": 95, "subsampling": 0} if format == "JPEG" else {}
    data = pictures.encode(COLOURS, format, icc_profile=BROKEN[name], **options)
    assert np.abs(decoded(data) - COLOURS).max() <= (12 if format == "JPEG" else 0)
    assert [one for one in caplog.messages if "ignored" in one and "\n" not in one]


def test_the_word_names_the_picture(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "topfive")
    colour._transform.cache_clear()
    data = pictures.encode(COLOURS, "TIFF", icc_profile=b"nonsense")
    recipe = Recipe("crop", "bicubic", 32)
    preparation.prepare(Source("a\rb.tif", data), 32, recipe, MAX_PIXELS)
    assert [one.split(":")[0] for one in caplog.messages] == ["a\\rb.tif"]


def test_a_profile_of_a_png_that_cannot_be_unpacked_costs_no_picture() -> None:
    for content in (b"name\0\0rubbish", b"name\0\7" + zlib.compress(BGR), b"", b"x" * 90):
        chunk = pictures.png_chunk(b"iCCP", content)
        assert (decoded(pictures.png(COLOURS, 2, chunk)) == COLOURS).all()
    large = BGR + np.random.default_rng(0).bytes(2 << 20)  # Pillow unpacks one megabyte
    chunk = pictures.png_chunk(b"iCCP", b"name\0\0" + zlib.compress(large))
    assert np.abs(decoded(pictures.png(EXCHANGED, 2, chunk)) - COLOURS).max() <= 1


def numbers(primaries: int, curve: int) -> bytes:
    return pictures.png_chunk(b"cICP", bytes([primaries, curve, 0, 1]))


def gama(value: float) -> bytes:
    return pictures.png_chunk(b"gAMA", struct.pack(">I", round(value * 100_000)))


def chrm(*values: float) -> bytes:
    return pictures.png_chunk(
        b"cHRM", struct.pack(">8I", *(round(one * 100_000) for one in values))
    )


ICCP = pictures.png_chunk(b"iCCP", b"name\0\0" + zlib.compress(BGR))
PLAIN = pictures.png_chunk(b"sRGB", b"\0")
WRONG = chrm(0.3127, 0.329, 0.15, 0.06, 0.3, 0.6, 0.64, 0.33)  # red and blue exchanged
SAME = chrm(0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)


@pytest.mark.parametrize(
    ("chunks", "exchanged"),
    [
        ([], False),
        ([PLAIN], False),
        ([gama(1 / 2.2)], False),
        ([gama(1 / 2.2), SAME], False),
        ([gama(1 / 2.2), WRONG], True),
        ([WRONG], False),  # without gAMA it says too little
        ([gama(1 / 2.2), WRONG, PLAIN], False),
        ([ICCP], True),
        ([ICCP, PLAIN], True),
        ([gama(1 / 2.2), SAME, ICCP], True),
        ([numbers(1, 13), ICCP], False),
        ([numbers(1, 13), gama(1 / 2.2), WRONG], False),
        ([numbers(2, 2), ICCP], True),  # unspecified
        ([numbers(99, 13), PLAIN], False),
        ([gama(0), WRONG], False),
        ([gama(1 / 2.2), chrm(0, 0, 0, 0, 0, 0, 0, 0)], False),
        ([gama(1 / 2.2), chrm(*[0.3] * 8)], False),
    ],
)
def test_chunks_of_a_png_count_as_in_browsers(chunks: list[bytes], exchanged: bool) -> None:
    """cICP before iCCP before sRGB before gAMA with cHRM."""
    result = decoded(pictures.png(COLOURS, 2, *chunks))
    assert np.abs(result - (EXCHANGED if exchanged else COLOURS)).max() <= 1


@pytest.mark.parametrize("value", [1.0, 0.55, 0.3, 2.0])
def test_a_gamma_is_made_to_fit_a_screen(value: float) -> None:
    expected = 255 * (COLOURS / 255) ** (1 / (2.2 * value))
    assert np.abs(decoded(pictures.png(COLOURS, 2, gama(value))) - expected).max() <= 2
    grey = 255 * (GREY / 255) ** (1 / (2.2 * value))
    assert np.abs(decoded(pictures.png(GREY, 0, gama(value))) - grey[:, :, None]).max() <= 2


@pytest.mark.parametrize(
    ("primaries", "curve", "stored", "expected"),
    [
        (12, 13, (200, 100, 50), (215, 94, 33)),  # Display P3; by the matrices of CSS Color 4
        (9, 13, (150, 128, 110), (163, 125, 107)),  # BT.2020
        (1, 8, (55, 55, 55), (128, 128, 128)),  # linear
        (1, 16, (148, 148, 148), (255, 255, 255)),  # PQ: 58 % is paper's white
        (1, 18, (192, 192, 192), (255, 255, 255)),  # HLG: 75 % is
        (1, 6, (90, 90, 90), (90, 90, 90)),
    ],
)
def test_colours_by_numbers_are_shown(
    primaries: int, curve: int, stored: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    pixels = np.full((4, 4, 3), stored, np.uint8)
    result = decoded(pictures.png(pixels, 2, numbers(primaries, curve)))
    assert np.abs(result[0, 0] - expected).max() <= 3


def test_colours_by_numbers_are_shown_in_avif_and_heic() -> None:
    told = b"nclx" + struct.pack(">HHHB", 12, 13, 6, 0x80)
    flat = np.full((48, 64, 3), (200, 100, 50), np.uint8)
    data = pictures.heic(flat)
    changed = data.replace(b"nclx" + struct.pack(">HHHB", 1, 13, 6, 0x80), told)
    assert changed != data
    avif = pictures.encode(flat, "AVIF", quality=100, subsampling="4:4:4")
    place = avif.index(b"colrnclx")
    changes = avif[: place + 8] + struct.pack(">HH", 12, 13) + avif[place + 12 :]
    for one in (changed, changes):
        assert np.abs(decoded(one)[20, 20] - (215, 94, 33)).max() <= 12


def test_a_pillow_picture_is_shown_by_its_profile_and_left_alone() -> None:
    """As Image.open returns it, or made from it; what comes out is in sRGB and says so no more,
    so that nothing shows it twice or writes its profile beside it."""
    data = pictures.encode(EXCHANGED, "PNG", icc_profile=BGR)
    for given in (Image.open(io.BytesIO(data)), Image.open(io.BytesIO(data)).copy()):
        before = given.copy()
        result = decoding.from_image(given)
        assert np.abs(np.asarray(result).astype(int) - COLOURS).max() <= 1
        assert np.abs(np.asarray(decoding.from_image(result)).astype(int) - COLOURS).max() <= 1
        assert (np.asarray(given) == np.asarray(before)).all()
        assert given.info["icc_profile"] == BGR
        assert "icc_profile" not in Image.open(io.BytesIO(pictures.encode(result, "JPEG"))).info
    as_grey = Image.open(io.BytesIO(data)).convert("CMYK")  # which keeps the profile of RGB
    assert decoding.from_image(as_grey).mode == "RGB"


def test_a_drawn_picture_is_in_srgb() -> None:
    picture, _ = decoding.decode(pictures.encode(EXCHANGED, "PNG", icc_profile=BGR))
    best = Prediction(0, "n", "tench", 0.5)
    drawn = annotate.draw(picture, Classification("a.png", (best,), "n", "r"))
    assert "icc_profile" not in drawn.info


def test_the_tutorials_recipe_takes_the_numbers_as_keras_does() -> None:
    data = pictures.encode(EXCHANGED, "PNG", icc_profile=BGR)
    assert (decoded(data, keras=True) == EXCHANGED).all()
    assert (decoded(pictures.png(COLOURS, 2, gama(1), WRONG), keras=True) == COLOURS).all()


def test_a_jpeg_at_a_part_of_its_size_is_shown_by_its_profile() -> None:
    large = np.repeat(np.repeat(EXCHANGED, 16, 0), 16, 1)
    data = pictures.encode(large, "JPEG", quality=95, icc_profile=BGR)
    small, size = decoding.decode(data, draft=48)
    assert (small.size, size) == ((128, 96), (1024, 768))
    assert np.abs(np.asarray(small)[::2, ::2].astype(int) - COLOURS).mean() <= 3


def test_eight_threads_show_many_profiles_at_once() -> None:
    files = [FORMATS[name](EXCHANGED, BGR + bytes([number])) for number in range(24)
             for name in ("png", "tiff")]  # fmt: skip
    wrong: list[object] = []

    def work() -> None:
        try:
            wrong.extend(one for one in files if np.abs(decoded(one) - COLOURS).max() > 1)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@pytest.mark.slow
def test_a_photograph_is_answered_alike_in_every_colour_space(warm: Path) -> None:
    classifier = Classifier()
    wide = profiles.from_numbers(12, 13)  # Display P3
    assert wide is not None
    target = ImageCms.ImageCmsProfile(io.BytesIO(wide))
    for name in ("cat", "coffee", "flower"):
        plain = Image.open(PHOTOGRAPHS[name]).convert("RGB")
        copy = ImageCms.profileToProfile(plain, ImageCms.createProfile("sRGB"), target)
        assert copy is not None
        swapped = Image.merge("RGB", plain.split()[::-1])
        expected = classifier.classify(plain)
        files: list[Any] = [pictures.encode(copy, "PNG", icc_profile=wide), copy,
                            pictures.encode(swapped, "TIFF", icc_profile=BGR)]  # fmt: skip
        for picture in files:
            found = classifier.classify(picture).predictions[0]
            assert found.label == expected.predictions[0].label
            assert abs(found.probability - expected.predictions[0].probability) < 0.02
        assert classifier.classify(swapped) != expected


@pytest.mark.slow
def test_a_picture_in_srgb_asks_no_littlecms() -> None:
    script = "import sys; from topfive.pictures import decoding; "
    script += "decoding.decode(sys.stdin.buffer.read()); print('PIL.ImageCms' in sys.modules)"
    for icc, asked in ((SRGB, b"False"), (BGR, b"True")):
        data = pictures.encode(COLOURS, "JPEG", icc_profile=icc)
        run = subprocess.run([sys.executable, "-c", script], input=data, capture_output=True)
        assert run.stdout.strip() == asked


def test_hostile_profiles_are_looked_at_in_no_time() -> None:
    many = BGR[:128] + b"\xff\xff\xff\xff" + BGR[132:]
    deep = profile(b"RGB ", A2B0=b"mft2\0\0\0\0\3\3\xff\0" + bytes(36) + b"\xff\xff\xff\xff")
    start = time.perf_counter()
    for icc in (many, deep, b"\xff" * 4000, BGR[:131], BGR[:128]):
        assert decoding.decode(pictures.encode(COLOURS, "TIFF", icc_profile=icc))[0].mode == "RGB"
    assert time.perf_counter() - start < 2
