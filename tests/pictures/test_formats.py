"""What is opened, what is refused, and that nothing else comes out of either."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageSequence

from tests.support import pictures
from topfive.errors import PictureError
from topfive.pictures import decoding
from topfive.pictures.formats import FORMATS, MAX_SCANS, count_scans
from topfive.sources.source import MAX_PIXELS

COLOURS = pictures.colours()
GREY = Image.fromarray(COLOURS).convert("L")

# Format and options of an encoder, and by how much a pixel may differ after it.
ENCODINGS: dict[str, tuple[str, dict[str, Any], int]] = {
    "jpeg": ("JPEG", {"quality": 95}, 12),
    "progressive jpeg": ("JPEG", {"quality": 95, "progressive": True}, 12),
    "png": ("PNG", {}, 0),
    "webp": ("WEBP", {"quality": 95}, 16),
    "lossless webp": ("WEBP", {"lossless": True}, 0),
    "gif": ("GIF", {}, 64),
    "bmp": ("BMP", {}, 0),
    "tiff": ("TIFF", {}, 0),
    "tiff lzw": ("TIFF", {"compression": "tiff_lzw"}, 0),
    "tiff deflate": ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
    "tiff jpeg": ("TIFF", {"compression": "jpeg", "quality": 95}, 16),
    "avif": ("AVIF", {"quality": 95}, 16),
    "jpeg 2000": ("JPEG2000", {}, 0),
    "ppm": ("PPM", {}, 0),
    "tga": ("TGA", {}, 0),
    "pcx": ("PCX", {}, 0),
    "dds": ("DDS", {}, 0),
    "sgi": ("SGI", {}, 0),
    "qoi": ("QOI", {}, 0),
    "dib": ("DIB", {}, 0),
    "mpo": ("MPO", {"quality": 95, "save_all": True, "append_images": [GREY]}, 12),
}
DATA = {
    name: pictures.encode(COLOURS, format, **options)
    for name, (format, options, _) in ENCODINGS.items()
} | {"heic": pictures.heic(COLOURS), "psd": pictures.psd(COLOURS)}
TOLERANCES = {name: tolerance for name, (_, _, tolerance) in ENCODINGS.items()} | {
    "heic": 10,
    "psd": 0,
}


@pytest.mark.parametrize("name", DATA)
def test_every_format_gives_the_picture_that_was_encoded(name: str) -> None:
    decoded = np.asarray(decoding.decode(DATA[name])[0])
    difference = np.abs(decoded.astype(int) - COLOURS)
    assert decoded.shape == COLOURS.shape
    assert difference.max() <= TOLERANCES[name]
    assert difference.mean() <= TOLERANCES[name] / 3


@pytest.mark.parametrize("format", ["ICO", "ICNS", "SPIDER", "MSP", "XBM"])
def test_formats_of_other_sizes_and_colours_are_read_too(format: str) -> None:
    mode = {"SPIDER": "F", "MSP": "1", "XBM": "1"}.get(format, "RGB")
    picture = decoding.decode(pictures.encode(Image.fromarray(COLOURS).convert(mode), format))[0]
    assert picture.mode == "RGB"


def test_the_list_holds_only_formats_that_pillow_has() -> None:
    Image.init()
    assert set(Image.OPEN) >= FORMATS - {"HEIF", "MPO"}


def failure(data: bytes, max_pixels: int = MAX_PIXELS) -> PictureError | None:
    """Return the error that a picture comes to, None if it can be read."""
    try:
        assert decoding.decode(data, max_pixels)[0].mode == "RGB"
    except PictureError as error:
        return error
    return None


@pytest.mark.parametrize("fraction", [0.02, 0.2, 0.5, 0.8, 0.95])
@pytest.mark.parametrize("name", sorted(DATA))
def test_a_truncated_picture_is_broken(name: str, fraction: float) -> None:
    data = DATA[name]
    if name == "mpo":  # the first picture is whole as long as the cut lies in the second
        data = data[: data.index(b"\xff\xd9") + 2]
    error = failure(data[: max(20, int(len(data) * fraction))])
    assert error is not None
    assert error.kind == "broken"
    assert "\n" not in str(error)


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_nothing_but_a_picture_error(data: st.DataObject) -> None:
    content = bytearray(DATA[data.draw(st.sampled_from(sorted(DATA)))])
    for _ in range(data.draw(st.integers(1, 8))):
        place = st.integers(0, min(len(content), 400) - 1) | st.integers(0, len(content) - 1)
        content[data.draw(place)] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(1, len(content)) | st.just(len(content)))
    error = failure(bytes(content[:end]), max_pixels=1_000_000)
    if error is not None:
        assert error.kind in ("broken", "not-a-picture", "too-large", "empty", "unsupported")
        assert "\n" not in str(error)


@settings(max_examples=150, deadline=None)
@given(st.binary(min_size=1, max_size=300))
def test_random_bytes_raise_nothing_but_a_picture_error(data: bytes) -> None:
    error = failure(data, max_pixels=100_000)
    if error is not None:
        assert error.kind in ("broken", "not-a-picture", "too-large", "empty")


@pytest.mark.parametrize(
    "data",
    [
        b"hello, world\n" * 20,
        bytes(1000),
        b"\x01",
        b"%PDF-1.7\n1 0 obj\n<< /Type /Catalog >>\nendobj\n%%EOF\n",
        b"\xd7\xcd\xc6\x9a" + bytes(200),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        pictures.encode(COLOURS, "EPS"),
        pictures.encode(COLOURS, "PDF"),
    ],
    ids=["text", "zeros", "one byte", "pdf", "wmf", "svg", "real eps", "real pdf"],
)
def test_what_is_not_a_picture_says_so(data: bytes) -> None:
    with pytest.raises(PictureError, match="not a picture") as caught:
        decoding.decode(data)
    assert caught.value.kind == "not-a-picture"


def test_an_eps_never_starts_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started = tmp_path / "started"
    ghostscript = tmp_path / "gs"
    ghostscript.write_text(f"#!/bin/sh\ntouch '{started}'\nexit 1\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # looked for anew
    eps = pictures.encode(COLOURS, "EPS")
    with pytest.raises(PictureError, match="not a picture"):
        decoding.decode(eps)
    assert not started.exists()
    with pytest.raises((OSError, subprocess.CalledProcessError)):  # the trap itself works
        Image.open(io.BytesIO(eps)).load()
    assert started.exists()


def test_a_broken_picture_of_a_known_format_is_broken_and_named() -> None:
    with pytest.raises(PictureError, match="no valid GIF header") as caught:
        decoding.decode(b"GIF89a")
    assert caught.value.kind == "broken"


def test_a_jpeg_with_too_many_scans_is_refused_at_once() -> None:
    assert count_scans(pictures.jpeg_with_scans(MAX_SCANS)) == MAX_SCANS
    assert decoding.decode(pictures.jpeg_with_scans(MAX_SCANS))[0].size == (64, 48)
    bomb = pictures.jpeg_with_scans(30_000)
    start = time.perf_counter()
    with pytest.raises(PictureError, match="over 100 scans") as caught:
        decoding.decode(bomb)
    assert caught.value.kind == "too-large"
    assert time.perf_counter() - start < 0.5


def test_scans_behind_padding_are_counted_and_those_in_comments_are_not() -> None:
    data = pictures.encode(COLOURS, "JPEG")
    assert count_scans(data) == 1
    assert count_scans(pictures.encode(COLOURS, "JPEG", progressive=True)) == 10
    hidden = b"\xff\xda\x00\x08" * 200 + b"\xff\xd9"
    comment = b"\xff\xfe" + struct.pack(">H", len(hidden) + 2) + hidden
    assert count_scans(data[:2] + comment + data[2:]) == 1
    assert decoding.decode(data[:2] + comment + data[2:])[0].size == (64, 48)
    padded = pictures.jpeg_with_scans(150).replace(b"\xff\xda", b"\xff\xff\xff\xda")
    assert count_scans(padded) == MAX_SCANS + 1


def test_heic_is_known_under_both_brands_and_turned_as_the_file_says() -> None:
    assert decoding.decode(pictures.heic(COLOURS, b"mif1"))[0].size == (64, 48)
    turned = np.asarray(decoding.decode(pictures.heic(COLOURS, rotation=1))[0])
    assert np.abs(turned.astype(int) - np.rot90(COLOURS)).max() <= 10


@pytest.mark.parametrize("brand", [b"heic", b"mif1"])
def test_heic_without_its_extra_names_the_command_that_installs_it(
    brand: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    monkeypatch.delitem(Image.OPEN, "HEIF", raising=False)
    with pytest.raises(PictureError, match=r"pip install 'topfive\[heic\]'") as caught:
        decoding.decode(pictures.heic(COLOURS, brand))
    assert caught.value.kind == "unsupported"


def test_dicom_without_its_extra_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(PictureError, match=r"pip install 'topfive\[dicom\]'") as caught:
        decoding.decode(bytes(128) + b"DICM" + bytes(100))
    assert caught.value.kind == "unsupported"


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF", "AVIF"])
def test_of_an_animation_or_many_pages_only_the_first_is_decoded(
    format: str,
) -> None:
    frames = [Image.new("RGB", (40, 30), (4 * number, 0, 255)) for number in range(60)]
    frames[0] = Image.new("RGB", (40, 30), (250, 20, 20))
    lossless = {"lossless": True} if format == "WEBP" else {}
    data = pictures.encode(frames[0], format, save_all=True, append_images=frames[1:], **lossless)
    with Image.open(io.BytesIO(data)) as whole:
        assert sum(1 for _ in ImageSequence.Iterator(whole)) == 60
    decoded = np.asarray(decoding.decode(data)[0]).astype(int)
    assert np.abs(decoded - (250, 20, 20)).max() <= 8


@pytest.mark.slow
def test_thousands_of_frames_cost_nothing() -> None:
    frames = [Image.new("P", (200, 200), number % 256) for number in range(3000)]
    data = pictures.encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    start = time.perf_counter()
    decoding.decode(data)
    assert time.perf_counter() - start < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", [b"zTXt", b"iTXt", b"iCCP"])
def test_metadata_that_unpacks_to_gigabytes_is_not_unpacked(name: bytes) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(256)) + packer.flush()
    key = {b"zTXt": b"a\0\0", b"iTXt": b"a\0\1\0\0\0", b"iCCP": b"a\0\0"}[name]
    data = pictures.png(COLOURS, 2, pictures.png_chunk(name, key + bomb))
    start = time.perf_counter()
    with pytest.raises(PictureError) as caught:
        decoding.decode(data)
    assert caught.value.kind == "broken"
    assert "too large" in str(caught.value)
    assert time.perf_counter() - start < 0.5


def test_a_tiff_with_a_huge_tag_is_read_or_refused_without_the_memory() -> None:
    data = bytearray(DATA["tiff"])
    directory = struct.unpack_from("<I", data, 4)[0]
    count = struct.unpack_from("<H", data, directory)[0]
    for entry in range(count):
        struct.pack_into("<I", data, directory + 2 + 12 * entry + 4, 0x7FFFFFFF)
    with pytest.raises(PictureError) as caught:
        decoding.decode(bytes(data))
    assert caught.value.kind == "broken"


PRINTS = """
import sys
from topfive.pictures import decoding as images
from topfive.errors import PictureError
for data in eval(sys.stdin.read()):
    try:
        images.decode(data)
    except PictureError:
        pass
"""


def test_nothing_is_printed_for_broken_pictures() -> None:
    deflate = bytearray(DATA["tiff deflate"])
    deflate[20:400] = bytes(380)
    odd = pictures.encode(COLOURS, "TIFF", compression="tiff_lzw")[:-40] + b"\xff" * 40
    samples = bytearray(DATA["tiff"])
    place = samples.index(struct.pack("<HHI", 277, 3, 1))
    samples[place + 8] = 200  # so many samples a pixel that Pillow logs an error
    apng = pictures.png(COLOURS, 2, pictures.png_chunk(b"acTL", bytes(8)))
    inputs = [bytes(deflate), odd, bytes(samples), apng, *DATA.values()]
    inputs += [data[: len(data) // 2] for data in inputs]
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", PRINTS],
        input=repr(inputs), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stderr == ""
    assert run.stdout == ""
