"""Pictures for the tests: ordinary, odd and hostile ones, made byte by byte where no
encoder at hand would write them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

WIDTH, HEIGHT = 64, 48


def colours(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """Return a picture without any symmetry, soft enough for lossy formats: uint8
    (height, width, 3), red from left to right, green from top to bottom, a blue corner."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    red, green = 40 + 180 * x, 200 - 170 * y
    blue = 230 * np.clip(1 - np.hypot(x, y), 0, 1)
    return np.stack([red, green, blue], axis=2).round().astype(np.uint8)


def encode(picture: Image.Image | Pixels, format: str, **options: Any) -> bytes:
    """Return the picture as Pillow writes it."""
    if not isinstance(picture, Image.Image):
        picture = Image.fromarray(picture)
    file = io.BytesIO()
    picture.save(file, format, **options)
    return file.getvalue()


def png_chunk(name: bytes, data: bytes) -> bytes:
    """Return one chunk with its length and checksum."""
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(
    pixels: NDArray[Any], colour_type: int, *extra: bytes, size: tuple[int, int] | None = None
) -> bytes:
    """Return a PNG with chunks between its header and its pixels, which may be of another
    size (width, height) than the header says."""
    height, width = pixels.shape[:2]
    header = struct.pack(
        ">IIBBBBB", *(size or (width, height)), 8 * pixels.itemsize, colour_type, 0, 0, 0
    )
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    chunks = [png_chunk(b"IHDR", header), *extra, png_chunk(b"IDAT", body), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def jpeg_with_scans(scans: int) -> bytes:
    """Return a progressive JPEG whose last scan comes again and again."""
    data = encode(colours(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    head, scan = data[:last], data[last:-2]
    return head + scan * (scans - head.count(b"\xff\xda")) + b"\xff\xd9"


def psd(pixels: Pixels) -> bytes:
    """Return a Photoshop file without layers, its pixels uncompressed."""
    height, width, channels = pixels.shape
    header = struct.pack(">4sH6sHIIHH", b"8BPS", 1, b"", channels, height, width, 8, 3)
    return header + bytes(12) + bytes(2) + pixels.transpose(2, 0, 1).tobytes()


def heic(pixels: Pixels, brand: bytes = b"heic", rotation: int = 0) -> bytes:
    """Return a HEIC file: HEVC with every block as plain samples (PCM), so without loss but
    for the colours' halved resolution. At most 12 blocks of 16 x 16 pixels.

    `rotation` is in quarter turns against the clock, as a property of the file.

    Source: ITU-T H.265 (sections 7.3 and 9.3), ISO/IEC 14496-12, 14496-15 and 23008-12.
    """
    height, width, _ = pixels.shape
    parameters = [_nal(32, _vps()), _nal(33, _sps(width, height)), _nal(34, _pps())]
    picture = _nal(19, _slice(pixels))
    sample = struct.pack(">I", len(picture)) + picture

    arrays = b"".join(
        struct.pack(">BHH", 0x80 | kind, 1, len(nal)) + nal
        for kind, nal in zip((32, 33, 34), parameters, strict=True)
    )
    configuration = bytes.fromhex("01 03 70000000 900000000000 5a f000 fc fd f8 f8 0000 0f 03")
    properties = [
        _box(b"hvcC", configuration + arrays),
        _box(b"ispe", struct.pack(">III", 0, width, height)),
        # sRGB's primaries and curve, the matrix of JPEG, the full range.
        _box(b"colr", b"nclx" + struct.pack(">HHHB", 1, 13, 6, 0x80)),
        _box(b"irot", bytes([rotation])),
    ]
    associations = bytes([len(properties), 0x81, 0x02, 0x03, 0x84])
    entry = _box(b"infe", struct.pack(">IHH4sx", 2 << 24, 1, 0, b"hvc1"))
    start = _box(b"ftyp", brand + bytes(4) + b"mif1heic")

    def meta(offset: int) -> bytes:
        place = struct.pack(">IHHHHHII", 0, 0x4400, 1, 1, 0, 1, offset, len(sample))
        return _box(
            b"meta",
            bytes(4)
            + _box(b"hdlr", bytes(8) + b"pict" + bytes(13))
            + _box(b"pitm", bytes(4) + b"\0\1")
            + _box(b"iloc", place)
            + _box(b"iinf", bytes(4) + b"\0\1" + entry)
            + _box(
                b"iprp",
                _box(b"ipco", b"".join(properties))
                + _box(b"ipma", struct.pack(">IIH", 0, 1, 1) + associations),
            ),
        )

    return start + meta(len(start) + len(meta(0)) + 8) + _box(b"mdat", sample)


# How much smaller the range becomes with each block's first bin (H.265, table 9-46).
_LPS = (240, 227, 216, 205, 195, 185, 175, 166, 158, 150, 142, 135)


def _slice(pixels: Pixels) -> bytes:
    planes = [np.asarray(plane) for plane in Image.fromarray(pixels).convert("YCbCr").split()]
    height, width = planes[0].shape
    # First in picture, not held back, PPS 0, slice type I, QP 0; aligned with a one.
    data = bytearray(_bits("1 0 1 011 1", "1"))
    corners = [(y, x) for y in range(0, height, 16) for x in range(0, width, 16)]
    for number, (y, x) in enumerate(corners):
        # Arithmetic coding starts anew after each block: the bins "the block goes on" (not
        # for the first), "not parted" and "plain samples" in nine bits.
        code = ((508 if number else 510) - _LPS[number] - 2) | 1
        data += _bits(f"{code:09b}", "")
        for plane, step in zip(planes, (1, 2, 2), strict=True):
            data += plane[y : y + 16 : step, x : x + 16 : step].tobytes()
    return bytes(data) + _bits(f"{509:09b}", "")


def _vps() -> bytes:
    layers = f"0000 11 000000 000 1 {'1' * 16}"
    return _bits(f"{layers} {_PROFILE} 1 1 1 1 000000 1 0 0", "1")


def _sps(width: int, height: int) -> bytes:
    size = f"1 010 {_golomb(width)} {_golomb(height)} 0 1 1 1 1 1 1 1"
    blocks = "010 1 1 011 1 1 0 0 0"  # 16 x 16, never split; transforms 4 to 16
    plain = "1 0111 0111 010 1 1"  # samples of 8 bits, blocks of 16, no filter over them
    return _bits(f"0000 000 1 {_PROFILE} {size} {blocks} {plain} 1 0 0 0 0 0", "1")


def _pps() -> bytes:
    return _bits("1 1 0 0 000 0 0 1 1 1 0 0 0 1 1 0 0 0 0 0 0 0 1 0 1 0 0 1 0 0", "1")


# Main Still Picture, level 3, progressive frames.
_PROFILE = f"00 0 00011 0111{'0' * 28} 1001{'0' * 44} 01011010"


def _golomb(number: int) -> str:
    binary = f"{number + 1:b}"
    return "0" * (len(binary) - 1) + binary


def _bits(text: str, stop: str) -> bytes:
    text = text.replace(" ", "") + stop
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8, "big")


def _nal(kind: int, payload: bytes) -> bytes:
    data = bytearray([kind << 1, 1])
    for byte in payload:
        if byte <= 3 and len(data) > 3 and data[-2:] == b"\0\0":
            data.append(3)  # so that no start code appears by chance
        data.append(byte)
    return bytes(data)


def _box(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content) + 8, name) + content
