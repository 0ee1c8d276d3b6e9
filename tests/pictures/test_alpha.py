"""What is stored beside the colours is opacity only where the format says so; what has 9 to 16 bits
is scaled from its own full range."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support import pictures
from topfive.errors import PictureError
from topfive.pictures import decoding

COLOURS = pictures.colours()
GREY = np.asarray(Image.fromarray(COLOURS).convert("L"))
HALF = np.full((48, 64), 255, np.uint8)
HALF[:, :32] = 0


def with_alpha(alpha: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.dstack([COLOURS, alpha]))


EMPTY = with_alpha(np.zeros_like(HALF))


def decoded(data: bytes, **options: Any) -> NDArray[np.int64]:
    return np.asarray(decoding.decode(data, **options)[0]).astype(np.int64)


def tiff(pixels: NDArray[Any], extra: int | None, *more: tuple[int, int, int, int]) -> bytes:
    """Return an uncompressed TIFF, its samples after the colours described by `extra`, with more
    tags: their number, type, count and value. A sample of 12 bits is packed by the caller."""
    height, width, *rest = pixels.shape
    samples, body = (rest or [1])[0], pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    bits = struct.pack(f"<{samples}H", *[8 * pixels.itemsize] * samples)
    if len(bits) > 4:
        more += ((258, 3, samples, 8 + len(body)),)
    tags = {258: (258, 3, samples, int.from_bytes(bits[:4], "little")), 256: (256, 4, 1, width),
            257: (257, 4, 1, height), 259: (259, 3, 1, 1), 262: (262, 3, 1, 1 + (samples > 2)),
            273: (273, 4, 1, 8), 277: (277, 3, 1, samples), 278: (278, 4, 1, height),
            279: (279, 4, 1, len(body))}  # fmt: skip
    if extra is not None:
        tags[338] = (338, 3, 1, extra)
    tags |= {tag[0]: tag for tag in more}
    table = b"".join(struct.pack("<HHII", *tags[number]) for number in sorted(tags))
    start = struct.pack("<2sHI", b"II", 42, 8 + len(body) + len(bits))
    return start + body + bits + struct.pack("<H", len(tags)) + table + bytes(4)


def tga(alpha: NDArray[np.uint8], attributes: int, kind: int | None = None) -> bytes:
    """Return a TGA of 32 bits that declares so many bits of attributes, and of which kind."""
    head = bytearray(18)
    head[2], head[12], head[14], head[16], head[17] = 2, 64, 48, 32, 0x20 | attributes
    data = bytes(head) + np.dstack([COLOURS[:, :, ::-1], alpha]).tobytes()
    if kind is None:
        return data
    extension = struct.pack("<H", 495) + bytes(492) + bytes([kind])
    return data + extension + struct.pack("<II", len(data), 0) + b"TRUEVISION-XFILE.\0"


def bmp(alpha: NDArray[np.uint8], version: int) -> bytes:
    """Return a BMP of 32 bits whose header declares where opacity is."""
    size = {4: 108, 5: 124}[version]
    rows = np.dstack([COLOURS[:, :, ::-1], alpha])[::-1].tobytes()
    info = struct.pack("<IiiHHIIiiII", size, 64, 48, 1, 32, 3, len(rows), 0, 0, 0, 0)
    info += struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    head = struct.pack("<2sIII", b"BM", 14 + size + len(rows), 0, 14 + size)
    return head + info.ljust(size, b"\0") + rows


def icon(alpha: NDArray[np.uint8], kind: int) -> bytes:
    """Return an icon (1) or a cursor (2) of 32 bits, a bitmap with a mask, as before Windows XP."""
    rows = np.dstack([COLOURS[:, :, ::-1], alpha])[::-1].tobytes() + bytes(48 * 8)
    content = struct.pack("<IiiHHII", 40, 64, 96, 1, 32, 0, 0).ljust(40, b"\0") + rows
    entry = struct.pack("<BBBBHHII", 64, 48, 0, 0, 1, 32, len(content), 22)
    return struct.pack("<3H", 0, kind, 1) + entry + content


def psd(alpha: NDArray[np.uint8], layers: int | None) -> bytes:
    """Return a Photoshop file with a fourth channel, and a number of layers if any."""
    data = pictures.psd(np.dstack([COLOURS, alpha]))
    place = data.index(bytes(12), 20) + 8
    section = b"" if layers is None else struct.pack(">Ih", 2, layers)
    return data[:place] + struct.pack(">I", len(section)) + section + data[place + 4 :]


NONE = np.zeros_like(HALF)
SHOWN = {
    "tga without attributes": tga(NONE, 0),
    "tga without attributes, and something there": tga(HALF, 0),
    "tga with attributes, empty": tga(NONE, 8),
    "tga that says they are nothing": tga(HALF, 8, 0),
    "tga that says to ignore them": tga(HALF, 8, 1),
    "bmp 4": bmp(NONE, 4),
    "bmp 5": bmp(NONE, 5),
    "ico": icon(NONE, 1),
    "cur": icon(NONE, 2),
    "tiff, unspecified": tiff(np.asarray(EMPTY), 0),
    "tiff, unspecified, and something there": tiff(np.asarray(with_alpha(HALF)), 0),
    "tiff, unassociated": tiff(np.asarray(EMPTY), 2),
    "tiff, not declared": tiff(np.asarray(EMPTY), None),
    "tiff of 16 bits": tiff(np.asarray(EMPTY).astype(np.uint16) * 257, 2),
    "dds": pictures.encode(EMPTY, "DDS"),
    "sgi": pictures.encode(EMPTY, "SGI"),
    "jpeg 2000": pictures.encode(EMPTY, "JPEG2000"),
    "psd with a selection": psd(HALF, None),
    "psd with a selection and layers": psd(HALF, 1),
    "psd, empty": psd(NONE, -1),
}
CLEAR = {
    "tga": tga(HALF, 8),
    "tga that says it is opacity": tga(HALF, 8, 3),
    "bmp 4": bmp(HALF, 4),
    "bmp 5": bmp(HALF, 5),
    "ico": icon(HALF, 1),
    "tiff": tiff(np.asarray(with_alpha(HALF)), 2),
    "dds": pictures.encode(with_alpha(HALF), "DDS"),
    "psd": psd(HALF, -1),
}


@pytest.mark.parametrize("name", SHOWN)
def test_colours_are_shown_where_there_is_no_opacity(name: str) -> None:
    assert (decoded(SHOWN[name]) == COLOURS).all()


@pytest.mark.parametrize("name", CLEAR)
def test_opacity_that_is_there_counts(name: str) -> None:
    result = decoded(CLEAR[name])
    assert (result[:, :32] == 255).all()
    assert (result[:, 32:] == COLOURS[:, 32:]).all()


@pytest.mark.parametrize("format", ["PNG", "WEBP", "AVIF", "QOI"])
def test_what_a_format_declares_clear_is_clear(format: str) -> None:
    options = {"lossless": True, "exact": True} if format == "WEBP" else {}
    assert (decoded(pictures.encode(EMPTY, format, **options)) == 255).all()


def test_a_pillow_picture_and_an_array_are_as_clear_as_they_say() -> None:
    assert (np.asarray(decoding.from_image(EMPTY)) == 255).all()
    assert (np.asarray(decoding.from_array(np.asarray(EMPTY))) == 255).all()
    with Image.open(io.BytesIO(SHOWN["bmp 5"])) as opened:
        assert (np.asarray(decoding.from_image(opened)) == COLOURS).all()


def test_a_palette_whose_entries_are_all_clear_is_shown() -> None:
    head = bytearray(18)
    head[1], head[2], head[5], head[7], head[12], head[14], head[16] = 1, 1, 2, 32, 2, 1, 8
    data = bytes(head) + bytes([10, 20, 200, 0, 30, 180, 40, 0]) + b"\0\1"
    assert decoded(data)[0].tolist() == [[200, 20, 10], [40, 180, 30]]


def packed(values: NDArray[np.uint16], bits: int) -> bytes:
    rows = ("".join(f"{value:0{bits}b}" for value in row) for row in values.tolist())
    return b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)


@pytest.mark.parametrize("bits", range(9, 17))
def test_grey_of_nine_to_sixteen_bits_is_scaled_from_its_own_range(bits: int) -> None:
    white = 2**bits - 1
    values = np.rint(GREY / 255 * white).astype(np.uint16)
    for factor in (1, 64):  # and a dark one, whose greatest value is not its white
        expected = np.rint(values // factor / white * 255)[:, :, None]
        head, part = f"64 48 {white}\n".encode(), values // factor
        files = [b"P5 " + head + part.astype(">u2").tobytes(),
                 b"P2 " + head + b" ".join(b"%d" % one for one in part.reshape(-1))]  # fmt: skip
        if bits in (12, 16):  # Pillow reads no others
            body = np.frombuffer(packed(part, bits), np.uint8).reshape(48, -1)
            files.append(tiff(body, None, (256, 4, 1, 64), (258, 3, 1, bits)) if bits == 12
                         else tiff(part, None))  # fmt: skip
        for data in files:
            assert np.abs(decoded(data) - expected).max() <= 1


@pytest.mark.parametrize("bits", [9, 10, 11, 13, 14, 15])
def test_a_tiff_of_bits_that_are_not_read_is_an_error_that_says_so(bits: int) -> None:
    body = np.frombuffer(packed(GREY.astype(np.uint16), bits), np.uint8).reshape(48, -1)
    with pytest.raises(PictureError, match=f"a TIFF of {bits} bits a sample") as caught:
        decoding.decode(tiff(body, None, (256, 4, 1, 64), (258, 3, 1, bits)))
    assert caught.value.kind == "unsupported"


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_colours_of_more_than_eight_bits_are_scaled_from_their_own_range(bits: int) -> None:
    white = 2**bits - 1
    values = np.rint(COLOURS / 255 * white).astype(">u2")
    assert np.abs(decoded(b"P6 64 48 %d\n" % white + values.tobytes()) - COLOURS).max() <= 1


def test_planes_of_sixteen_bits_are_no_planes_of_eight() -> None:
    """Pillow takes them for such where they are not compressed."""
    deep = COLOURS.astype("<u2") * 257
    planes = np.moveaxis(deep, 2, 0)
    body = planes.tobytes()
    places = struct.pack("<3I", *(8 + number * len(body) // 3 for number in range(3)))
    lengths = struct.pack("<3I", *[len(body) // 3] * 3)
    bits, end = struct.pack("<3H", 16, 16, 16), 8 + len(body)
    tags = [(256, 4, 1, 64), (257, 4, 1, 48), (258, 3, 3, end), (259, 3, 1, 1), (262, 3, 1, 2),
            (273, 4, 3, end + 6), (277, 3, 1, 3), (278, 4, 1, 48), (279, 4, 3, end + 18),
            (284, 3, 1, 2)]  # fmt: skip
    table = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    start = struct.pack("<2sHI", b"II", 42, end + 30)
    data = start + body + bits + places + lengths + struct.pack("<H", len(tags)) + table + bytes(4)
    assert (decoded(data) == COLOURS).all()
    assert (decoded(data, window=(0, 65535)) == COLOURS).all()
