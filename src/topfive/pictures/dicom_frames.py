"""The stored values of a DICOM file's first picture, however they are compressed.
pydicom reads what is uncompressed, and JPEG 2000; Pillow reads JPEG, and unpacks RLE."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.errors import PictureError
from topfive.pictures.dicom_header import ENCODINGS, EXPLICIT, Header, Limited, integer
from topfive.pictures.formats import MAX_SCANS, count_scans, open_picture

UNDEFINED = 0xFFFFFFFF
END_OF_IMAGE = b"\xff\xd9"
# The segment by which a JPEG says that its components are RGB (Adobe technical note 5116).
ADOBE_RGB = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"


def stored_values(header: Header) -> tuple[NDArray[Any], str]:
    """Return the first picture's stored values and their photometric interpretation.

    They are (rows, columns) or, of colours, (rows, columns, 3), in the type that the file
    declares, without the bits that it does not use.

    Raises:
        PictureError: compressed in a way that is not read; too many scans.
        Exception: whatever pydicom and Pillow raise of a broken file.
    """
    from pydicom.encaps import encapsulate
    from pydicom.pixels.decoders.base import get_decoder

    encoding, syntax, options = ENCODINGS[header.syntax], header.syntax, _options(header)
    source: bytes | memoryview
    if encoding in ("JPEG", "JPEG2000"):
        frame = _first_frame(header)
        picture = _compressed(header, frame, encoding)
        if encoding == "JPEG":
            return np.asarray(picture), "RGB" if picture.mode == "RGB" else header.photometric
        source = encapsulate([frame])
        options |= {"number_of_frames": 1, "decoding_plugin": "pillow"}
    elif encoding == "RLE":
        syntax, source = EXPLICIT, _unpack(_first_frame(header), header)
        options |= {"number_of_frames": 1, "planar_configuration": 1}
    elif header.length == UNDEFINED:
        raise ValueError("compressed pixels in a transfer syntax without compression")
    else:
        source = memoryview(header.data)[header.start : header.start + header.length]
    below = 0
    if encoding != "JPEG2000" and header.keyword == "PixelData":
        # Old files have other bits beneath the value's, which pydicom takes for its own.
        high = integer(header.elements, "HighBit", options["bits_stored"] - 1)
        below = max(0, high + 1 - options["bits_stored"])
        options["bits_stored"] += below
    values, found = get_decoder(syntax).as_array(source, index=0, raw=True, **options)
    return values >> below if below else values, str(found["photometric_interpretation"])


def _options(header: Header) -> dict[str, Any]:
    elements = header.elements
    allocated = integer(elements, "BitsAllocated")
    return {
        "rows": header.size[1],
        "columns": header.size[0],
        "samples_per_pixel": integer(elements, "SamplesPerPixel", 1),
        "photometric_interpretation": header.photometric,
        "planar_configuration": integer(elements, "PlanarConfiguration", 0),
        "number_of_frames": integer(elements, "NumberOfFrames", 1) or 1,
        "bits_allocated": allocated,
        "bits_stored": integer(elements, "BitsStored", allocated),
        "pixel_representation": integer(elements, "PixelRepresentation", 0),
        "pixel_keyword": header.keyword,
        "pixel_vr": header.kind,
    }


def _first_frame(header: Header) -> bytes:
    """Return the first frame's bytes, of as many fragments as it has.
    Without a table of offsets a frame is one, or ends where its image does. Source: PS3.5, A.4."""
    from pydicom.encaps import generate_fragments

    if header.length != UNDEFINED:
        raise ValueError("pixels without fragments in a transfer syntax with compression")
    file = Limited(header.data)
    file.seek(header.start)
    fragments = generate_fragments(file)
    table = next(fragments, b"")
    end = int.from_bytes(table[4:8], "little")
    several = integer(header.elements, "NumberOfFrames", 1) > 1
    whole = ENCODINGS[header.syntax] == "RLE"
    frame: list[bytes] = []
    place = 0
    for fragment in fragments:
        frame.append(fragment)
        place += len(fragment) + 8
        if place >= end if end else several and (whole or END_OF_IMAGE in fragment[-10:]):
            break
    return b"".join(frame)


def _compressed(header: Header, frame: bytes, format: str) -> Image.Image:
    """Return a frame as Pillow opens it, after all that its header says was compared."""
    if format == "JPEG" and count_scans(frame) > MAX_SCANS:
        raise PictureError("too-large", f"a JPEG with over {MAX_SCANS} scans is refused")
    bits = integer(header.elements, "BitsStored", 8)
    samples = integer(header.elements, "SamplesPerPixel", 1)
    if bits > (16 if format == "JPEG2000" and samples == 1 else 8):
        raise PictureError("unsupported", f"{format} with {bits} bits a sample is not read")
    try:
        picture = open_picture(frame)
    except PictureError as error:
        raise ValueError(f"expected {format}; received {error}") from error
    unmarked = picture.format == "JPEG" and not {"jfif", "adobe_transform"} & picture.info.keys()
    if unmarked and header.photometric == "RGB":  # which libjpeg takes for YCbCr
        picture = open_picture(frame[:2] + ADOBE_RGB + frame[2:])
    if picture.format != format:
        raise ValueError(f"expected {format}; received {picture.format}")
    if picture.size != header.size:
        (width, height), (columns, rows) = picture.size, header.size
        raise ValueError(f"{width} x {height} pixels, and {columns} x {rows} in the header")
    if picture.mode not in (("L", "I;16", "I") if samples == 1 else ("RGB", "YCbCr")):
        raise ValueError(f"{samples} samples a pixel in the header; received {picture.mode}")
    return picture


def _unpack(frame: bytes, header: Header) -> bytes:
    """Return an RLE frame as uncompressed planes, little-endian.

    Pillow unpacks no more than is asked for, where two bytes may hold 128.

    Source: PS3.5, annex G. A segment holds one byte of one sample, the highest first.
    """
    width, height = header.size
    samples = integer(header.elements, "SamplesPerPixel", 1)
    depth = integer(header.elements, "BitsAllocated") // 8
    count, *starts = struct.unpack_from("<16L", frame)
    if count != samples * depth or count > len(starts):
        raise ValueError(f"{count} RLE segments; expected {samples * depth}")
    ends = [*starts[1:count], len(frame)]
    planes = [
        Image.frombytes("L", (width * height, 1), frame[start:end], "packbits", "L").tobytes()
        for start, end in zip(starts, ends, strict=False)
    ]
    stacked = np.frombuffer(b"".join(planes), np.uint8).reshape(samples, depth, -1)
    return stacked[:, ::-1].transpose(0, 2, 1).tobytes()
