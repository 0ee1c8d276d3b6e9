"""Memory is bounded in bytes: what decoding takes is known before, and large pictures are converted
in bands, with the same result."""

from __future__ import annotations

import io
import struct
import sys
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import pictures
from topfive.errors import PictureError
from topfive.pictures import bands, decoding, footprint, pixels
from topfive.pictures.formats import open_picture
from topfive.system import memory

SIDE = 4000  # 16 megapixels: pictures that are large, and decoded soon
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "La", "CMYK", "YCbCr", "LAB", "HSV",
         "I", "F", "I;16", "I;16B")  # fmt: skip


def any_picture(mode: str, size: tuple[int, int] = (97, 61)) -> Image.Image:
    values = np.random.default_rng(5).integers(0, 256, (size[1], size[0], 4), np.uint8)
    if mode in ("I", "F"):
        return Image.fromarray(values[:, :, 0].astype(np.int32) * 900 - 7000).convert(mode)
    if mode.startswith("I;"):
        grey = values[:, :, 0].astype(np.uint16) * 250
        return Image.frombytes(
            mode, size, grey.astype(">u2" if mode[-1] == "B" else "<u2").tobytes()
        )
    picture = Image.fromarray(values)
    if mode in ("LAB", "HSV", "YCbCr", "CMYK", "P"):
        return picture.convert("RGB").convert(mode) if mode != "LAB" else Image.merge(
            "LAB", picture.convert("RGB").split()
        )  # fmt: skip
    return picture.convert("LA").convert(mode) if mode in ("La", "PA") else picture.convert(mode)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_bands_change_no_pixel(
    mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = any_picture(mode)
    if mode == "P":
        picture.info["transparency"] = 3
    for window in (None, (-50.0, 9000.0)):
        whole = pixels.to_rgb(picture, orientation, window)
        with monkeypatch.context() as patched:
            patched.setattr(bands, "LARGE", 1)
            patched.setattr(bands, "BAND", 1000)
            in_bands = pixels.to_rgb(picture, orientation, window)
        assert in_bands.size == whole.size
        assert np.array_equal(np.asarray(in_bands), np.asarray(whole))


def test_an_alpha_channel_is_none_only_if_it_is_none_in_every_band(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bands, "LARGE", 1)
    monkeypatch.setattr(bands, "BAND", 1000)
    picture = any_picture("RGBA")
    picture.format = "TGA"
    for opaque, expected in ((0, False), (1, True)):
        alpha = np.zeros((61, 97), np.uint8)
        alpha[-1] = 255 * opaque
        picture.putalpha(Image.fromarray(alpha))
        assert (np.asarray(pixels.to_rgb(picture))[:-1] == 255).all() == expected


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I", "F", "I;16"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_smaller_is_the_average_of_the_whole(mode: str, orientation: int) -> None:
    picture = any_picture(mode)
    expected = pixels.to_rgb(picture, orientation).reduce(2)
    smaller = pixels.to_rgb(picture, orientation, smaller=2)
    assert smaller.size == expected.size
    if orientation == 1:
        assert np.array_equal(np.asarray(smaller), np.asarray(expected))


def png(width: int, height: int, colour: int, bits: int, after: bytes = b"") -> bytes:
    def chunk(name: bytes, content: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + check

    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    pack = zlib.compressobj(1)
    row = bytes(1 + width * channels * bits // 8)
    content = b"".join(pack.compress(row) for _ in range(height)) + pack.flush()
    palette = chunk(b"PLTE", bytes(768)) + chunk(b"tRNS", b"\1") if colour == 3 else b""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    end = after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + palette + chunk(b"IDAT", content) + end


def saved(mode: str, form: str, **options: Any) -> Callable[[], bytes]:
    def make() -> bytes:
        picture = Image.new(mode, (SIDE, SIDE), 0 if mode in ("F", "I", "I;16", "L") else None)
        with io.BytesIO() as file:
            picture.save(file, form, **options)
            return file.getvalue()

    return make


exif = Image.Exif()
exif[0x0112] = 6
LARGE: dict[str, Callable[[], bytes]] = {
    "float": saved("F", "TIFF", compression="tiff_lzw"),
    "float in one strip": saved("F", "TIFF", compression="tiff_lzw", tiffinfo={278: SIDE}),
    "32 bits": saved("I", "TIFF", compression="tiff_lzw"),
    "16 bits": lambda: png(SIDE, SIDE, 0, 16),
    "RGBA": lambda: png(SIDE, SIDE, 6, 8),
    "palette": lambda: png(SIDE, SIDE, 3, 8),
    "LA": lambda: png(SIDE, SIDE, 4, 8),
    "16-bit colour": lambda: png(SIDE, SIDE, 2, 16),
    "CMYK": saved("CMYK", "JPEG"),
    "turned": saved("RGB", "JPEG", exif=exif),
    "turned TIFF": saved("RGB", "TIFF", compression="tiff_lzw", exif=exif),
    "progressive": saved("RGB", "JPEG", progressive=True, subsampling=0),
    "WebP": saved("RGB", "WEBP", method=0),
    "AVIF": saved("RGB", "AVIF", speed=10),
    "JPEG 2000": saved("RGB", "JPEG2000"),
    "GIF": saved("P", "GIF"),
    "SGI": saved("RGB", "SGI"),
    "late Exif": lambda: png(SIDE, SIDE, 2, 8, late_exif()),
}


def late_exif() -> bytes:
    content = exif.tobytes()[6:]
    check = struct.pack(">I", zlib.crc32(b"eXIf" + content))
    return struct.pack(">I", len(content)) + b"eXIf" + content + check


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells the peak of a moment")
@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
@pytest.mark.parametrize("least", [None, 500])
def test_a_picture_takes_no_more_memory_than_is_claimed(
    make: Callable[[], bytes], least: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "LARGE", 1 << 20)
    decoding.decode(pictures.encode(pictures.colours(), "PNG"))  # what is imported once
    data = make()
    unlimited = taken(data, 10_000_000_000, least)
    assert unlimited is not None
    limit = round(4.5 * SIDE * SIDE) + len(data)
    taken(data, limit, least)  # or refused


def taken(data: bytes, limit: int, least: int | None) -> int | None:
    """Decode within a limit, and return the bytes that were claimed, None where it is refused."""
    with pytest.MonkeyPatch.context() as patched, memory.PICTURES.claim() as claim:
        patched.setattr(footprint, "limit_of", lambda _: limit)
        memory.reset_peak()
        before = memory.peak()
        try:
            picture, size = decoding.decode(data, least=least, claim=claim)
        except PictureError as error:
            if error.kind != "too-large" or "MB of memory" not in str(error):
                raise
            return None
        assert size == (SIDE, SIDE)
        assert picture.width >= (least or SIDE)
        assert memory.peak() - before < claim.made + 32_000_000
        assert len(data) + claim.made <= limit
        return claim.made


def test_what_would_take_too_much_is_made_smaller_or_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # 64 x 48 pixels: 4 bytes each, and as many for the result.
    monkeypatch.setattr(footprint, "SLACK", 0)
    for data, part, smaller in (
        (pictures.encode(pictures.colours(), "JPEG"), 2, 1),
        (png(64, 48, 6, 8), 1, 2),
    ):
        opened = open_picture(data)
        plain = opened.mode == "RGB"
        monkeypatch.setattr(footprint, "limit_of", lambda _, file=data: len(file) + 64 * 48 * 5)
        way = footprint.find_way(opened, data, 0, 20, plain, decoded=part if plain else 1)
        assert (way.decoded, way.converted) == (part, smaller)
        limit = len(data) + (800 if plain else 64 * 48 * 4)
        monkeypatch.setattr(footprint, "limit_of", lambda _, most=limit: most)
        with pytest.raises(PictureError, match="--max-pixels"):
            footprint.find_way(opened, data, 0, 20, plain)
        with pytest.raises(PictureError, match="--max-pixels"):
            footprint.find_way(opened, data, 0, None, plain)


def test_more_pixels_are_more_bytes() -> None:
    assert footprint.limit_of(1) == footprint.limit_of(100_000_000) == 520_000_000
    assert footprint.limit_of(200_000_000) == 1_040_000_000
