"""The first picture's stored values, however they are compressed."""

from __future__ import annotations

import io
import struct
import warnings
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support import dicoms, pictures
from topfive.errors import PictureError
from topfive.pictures import decoding, dicom_header
from topfive.pictures.dicom_frames import stored_values

pytest.importorskip("pydicom", reason="needs pydicom: pip install 'topfive[dicom]'")

COLOURS = pictures.colours()
GREY = np.asarray(Image.fromarray(COLOURS).convert("L"))
HEIGHT, WIDTH = GREY.shape
SIZE: dict[str, Any] = {"Rows": HEIGHT, "Columns": WIDTH}
COLOURED: dict[str, Any] = SIZE | {"SamplesPerPixel": 3, "PlanarConfiguration": 0}
DEEP: dict[str, Any] = SIZE | {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}


def stored(data: bytes) -> NDArray[Any]:
    return stored_values(dicom_header.open_header(data))[0]


def failure(data: bytes) -> PictureError:
    with pytest.raises(PictureError) as caught:
        decoding.decode(data)
    return caught.value


def jpeg(pixels: NDArray[np.uint8], **options: Any) -> bytes:
    return pictures.encode(pixels, "JPEG", quality=95, subsampling=0, **options)


@pytest.mark.parametrize("type", ["u1", "i1", "u2", "i2", "u4", "i4"])
@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.BIG_ENDIAN])
def test_values_of_every_type_are_those_that_were_written(type: str, syntax: str) -> None:
    bounds = np.iinfo(type)
    values = np.linspace(bounds.min, bounds.max, 60).astype(type).reshape(6, 10)
    assert np.array_equal(stored(dicoms.dicom(values, syntax=syntax)), values)


@pytest.mark.parametrize("signed", [0, 1])
@pytest.mark.parametrize("high", [11, 12, 15])
def test_bits_that_are_not_the_values_are_left_out(high: int, signed: int) -> None:
    values = np.array([[0, 1, 2047, -1 if signed else 4095, -2048 if signed else 2048]])
    low = high - 11
    others = (0xF << high + 1 | (1 << low) - 1) & 0xFFFF
    words = (((values & 0xFFF) << low) | others).astype(np.uint16)
    data = dicoms.dicom(words, BitsStored=12, HighBit=high, PixelRepresentation=signed)
    assert np.array_equal(stored(data), values)


def test_one_bit_a_pixel_is_black_or_white() -> None:
    values = np.random.default_rng(3).integers(0, 2, (6, 10), np.uint8)
    packed = np.packbits(values, bitorder="little").tobytes()
    data = dicoms.dicom(packed, Rows=6, Columns=10, BitsAllocated=1, BitsStored=1, HighBit=0)
    assert np.array_equal(stored(data), values)
    assert np.array_equal(np.asarray(decoding.decode(data)[0])[:, :, 0], values * 255)


@pytest.mark.parametrize("planar", [0, 1])
def test_colours_are_read_pixel_by_pixel_and_plane_by_plane(planar: int) -> None:
    pixels = COLOURS.transpose(2, 0, 1) if planar else COLOURS
    told = COLOURED | {"PlanarConfiguration": planar}
    data = dicoms.dicom(pixels.tobytes(), "RGB", **told)
    assert np.array_equal(np.asarray(decoding.decode(data)[0]), COLOURS)


def test_ycbcr_is_read_whole_and_with_halved_colours() -> None:
    luma = np.asarray(Image.fromarray(COLOURS).convert("YCbCr"))
    whole = decoding.decode(dicoms.dicom(luma, "YBR_FULL"))[0]
    assert np.abs(np.asarray(whole).astype(int) - COLOURS).max() <= 3
    pairs = luma.reshape(-1, 2, 3)
    halved = np.stack([pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=1)
    data = dicoms.dicom(halved.tobytes(), "YBR_FULL_422", **COLOURED)
    assert np.abs(np.asarray(decoding.decode(data)[0]).astype(int) - COLOURS).max() <= 8


@pytest.mark.parametrize("type", ["u1", "u2", "i2", "u4"])
def test_rle_gives_the_values_that_were_packed(type: str) -> None:
    values = (GREY.astype(np.int64) * 300 - 30_000 if type != "u1" else GREY).astype(type)
    words = np.frombuffer(values.astype(f">{type}").tobytes(), np.uint8)
    planes = [words[byte :: values.itemsize].tobytes() for byte in range(values.itemsize)]
    bits = 8 * values.itemsize
    data = dicoms.dicom(
        [dicoms.rle(*planes)], syntax=dicoms.RLE, BitsAllocated=bits, BitsStored=bits,
        HighBit=bits - 1, PixelRepresentation=int(values.dtype.kind == "i"), **SIZE,
    )  # fmt: skip
    assert np.array_equal(stored(data), values)


def test_rle_of_colours_and_pydicoms_own_agree() -> None:
    planes = [COLOURS[:, :, channel].tobytes() for channel in range(3)]
    data = dicoms.dicom([dicoms.rle(*planes)], "RGB", dicoms.RLE, **COLOURED)
    assert np.array_equal(np.asarray(decoding.decode(data)[0]), COLOURS)
    packed, plain = dicoms.example("MR_small_RLE.dcm"), dicoms.example("MR_small.dcm")
    assert np.array_equal(stored(packed), stored(plain))


def test_rle_is_unpacked_no_further_than_the_header_says() -> None:
    """Two bytes for 128, and 20 million of them."""
    frame = struct.pack("<16L", 1, 64, *[0] * 14) + b"\x81\x07" * 10_000_000
    values = stored(dicoms.dicom([frame], syntax=dicoms.RLE, **SIZE))
    assert values.shape == (HEIGHT, WIDTH)
    assert (values == 7).all()


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (dicoms.rle(b"\1" * 10), "not enough image data"),
        (dicoms.rle(GREY.tobytes(), GREY.tobytes()), "2 RLE segments; expected 1"),
        (struct.pack("<16L", 1, 4_000_000_000, *[0] * 14), "not enough image data"),
        (b"\1\0\0\0", "64 bytes"),
    ],
    ids=["short", "segments", "place", "cut"],
)
def test_broken_rle_is_broken(frame: bytes, message: str) -> None:
    error = failure(dicoms.dicom([frame], syntax=dicoms.RLE, **SIZE))
    assert error.kind == "broken"
    assert message in str(error)


def test_jpeg_grey_and_colours() -> None:
    grey = stored(dicoms.dicom([jpeg(GREY)], syntax=dicoms.JPEG, **SIZE))
    assert np.abs(grey.astype(int) - GREY).max() <= 6
    data = dicoms.dicom([jpeg(COLOURS)], "YBR_FULL_422", dicoms.JPEG, **COLOURED)
    assert np.abs(np.asarray(decoding.decode(data)[0]).astype(int) - COLOURS).max() <= 6


def test_a_jpeg_of_rgb_is_not_taken_for_ycbcr_though_nothing_in_it_says_so() -> None:
    frame = jpeg(COLOURS, keep_rgb=True)
    # Without its mark, and with the names 1, 2, 3 for its components, it is like any other.
    header = frame.index(b"\xff\xc0")
    scan = frame.index(b"\xff\xda")
    plain = bytearray(frame)
    for number in range(3):
        plain[header + 10 + 3 * number] = number + 1
        plain[scan + 5 + 2 * number] = number + 1
    mark = frame.index(b"\xff\xee") if b"Adobe" in frame else None
    if mark is not None:
        del plain[mark : mark + 16]
    assert b"Adobe" not in plain
    assert b"JFIF" not in plain
    data = dicoms.dicom([bytes(plain)], "RGB", dicoms.JPEG, **COLOURED)
    assert np.abs(np.asarray(decoding.decode(data)[0]).astype(int) - COLOURS).max() <= 8
    wrong = np.asarray(decoding.decode(bytes(plain))[0]).astype(int)
    assert np.abs(wrong - COLOURS).max() > 60


@pytest.mark.parametrize("name", ["SC_rgb_jpeg.dcm", "SC_rgb_jpeg_app14_dcmd.dcm"])
def test_jpegs_of_other_programs_have_the_colours_that_pydicom_gives_them(name: str) -> None:
    from pydicom import dcmread

    data = dicoms.example(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = dcmread(io.BytesIO(data)).pixel_array.astype(int)
    assert np.abs(np.asarray(decoding.decode(data)[0]).astype(int) - theirs).max() <= 2


def test_jpeg_2000_of_8_and_16_bits_and_colours() -> None:
    grey = pictures.encode(GREY, "JPEG2000", no_jp2=True)
    assert np.array_equal(stored(dicoms.dicom([grey], syntax=dicoms.JPEG_2000, **SIZE)), GREY)
    values = GREY.astype(np.uint16) * 250
    deep = pictures.encode(Image.fromarray(values), "JPEG2000", no_jp2=True)
    assert np.array_equal(stored(dicoms.dicom([deep], syntax=dicoms.JPEG_2000, **DEEP)), values)
    frame = pictures.encode(COLOURS, "JPEG2000", no_jp2=True, mct=1)
    data = dicoms.dicom([frame], "YBR_RCT", dicoms.JPEG_2000, **COLOURED)
    assert np.array_equal(np.asarray(decoding.decode(data)[0]), COLOURS)


def test_signed_jpeg_2000_is_what_it_was_before() -> None:
    plain = stored(dicoms.example("MR_small.dcm"))
    assert plain.dtype.kind == "i"
    assert np.array_equal(stored(dicoms.example("MR_small_jp2klossless.dcm")), plain)


@pytest.mark.parametrize("syntax", [dicoms.JPEG, dicoms.JPEG_2000])
def test_a_compressed_picture_of_another_size_is_refused_before_it_is_decoded(syntax: str) -> None:
    format = "JPEG" if syntax == dicoms.JPEG else "JPEG2000"
    frame = pictures.encode(Image.new("L", (3000, 3000)), format)
    error = failure(dicoms.dicom([frame], syntax=syntax, **SIZE))
    assert error.kind == "broken"
    assert "3000 x 3000 pixels, and 64 x 48 in the header" in str(error)


@pytest.mark.parametrize(
    ("frame", "elements", "kind", "message"),
    [
        (pictures.jpeg_with_scans(150), COLOURED, "too-large", "over 100 scans"),
        (jpeg(COLOURS), SIZE, "broken", "1 samples a pixel in the header; received RGB"),
        (jpeg(GREY), COLOURED, "broken", "3 samples a pixel in the header; received L"),
        (pictures.encode(GREY, "PNG"), SIZE, "broken", "expected JPEG; received PNG"),
        (jpeg(GREY)[:300], SIZE, "broken", "broken or cut off"),
        (b"hello", SIZE, "broken", "expected JPEG; received not a picture"),
        (jpeg(GREY), DEEP | {"BitsStored": 12}, "unsupported", "JPEG with 12 bits a sample"),
    ],
    ids=["scans", "colours", "grey", "png", "cut", "text", "12 bits"],
)
def test_a_jpeg_that_is_not_what_the_header_says_is_an_error(
    frame: bytes, elements: dict[str, Any], kind: str, message: str
) -> None:
    error = failure(dicoms.dicom([frame], syntax=dicoms.JPEG, **elements))
    assert error.kind == kind
    assert message in str(error)


def test_of_several_frames_the_first_is_taken() -> None:
    frames = np.stack([GREY, 255 - GREY, GREY // 2])
    told = SIZE | {"NumberOfFrames": 3}
    assert np.array_equal(stored(dicoms.dicom(frames.tobytes(), **told)), GREY)
    packed = [dicoms.rle(frame.tobytes()) for frame in frames]
    assert np.array_equal(stored(dicoms.dicom(packed, syntax=dicoms.RLE, **told)), GREY)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("parts", [1, 3])
def test_a_frame_of_many_fragments_is_put_together(parts: int, table: bool) -> None:
    from pydicom.encaps import encapsulate

    frames = [jpeg(GREY), jpeg(255 - GREY)]
    data = dicoms.dicom(frames, syntax=dicoms.JPEG, NumberOfFrames=2, **SIZE)
    content = encapsulate(frames, fragments_per_frame=parts, has_bot=table)
    place = data.index(struct.pack("<HHL", 0xFFFE, 0xE000, 8))  # the table of two offsets
    values = stored(data[:place] + content + struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))
    assert np.abs(values.astype(int) - GREY).max() <= 6


def test_compression_where_the_transfer_syntax_has_none_is_broken_and_so_is_the_reverse() -> None:
    packed = dicoms.dicom([dicoms.rle(GREY.tobytes())], syntax=dicoms.RLE, **SIZE)
    renamed = packed.replace(dicoms.RLE.encode() + b"\0", dicoms.EXPLICIT.encode() + b"\0")
    assert "without compression" in str(failure(renamed))
    plain = dicoms.dicom(GREY).replace(dicoms.EXPLICIT.encode(), dicoms.RLE.encode())
    assert "without fragments" in str(failure(plain))


def test_float_pixels_are_read() -> None:
    from pydicom import dcmread

    dataset = dcmread(io.BytesIO(dicoms.dicom(GREY.astype(np.uint32))))
    del dataset.PixelData, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation
    dataset.FloatPixelData = (GREY.astype(np.float32) / 10).tobytes()
    file = io.BytesIO()
    dataset.save_as(file)
    values = stored(file.getvalue())
    assert values.dtype == np.float32
    assert np.array_equal(values, GREY.astype(np.float32) / 10)
    shades = np.asarray(decoding.decode(file.getvalue(), window=(0, 25.5))[0])[:, :, 0]
    assert np.abs(shades.astype(int) - GREY).max() <= 1
