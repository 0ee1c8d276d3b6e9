"""DICOM files for the tests, as pydicom writes them and as nobody should."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
RLE = "1.2.840.10008.1.2.5"
JPEG = "1.2.840.10008.1.2.4.50"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def dicom(
    pixels: NDArray[Any] | bytes | list[bytes], photometric: str = "MONOCHROME2",
    syntax: str = EXPLICIT, **elements: Any,
) -> bytes:  # fmt: skip
    """Return a file with pixels of (height, width) or, of colours, (height, width, 3); or with
    a value of its own, or the frames of a compressed one, whose size `elements` tell. None
    leaves an element out."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID

    told: dict[str, Any] = {"PhotometricInterpretation": photometric}
    if isinstance(pixels, np.ndarray):
        colour = pixels.ndim == 3 and pixels.shape[2] == 3
        bits = 8 * pixels.itemsize
        told |= {
            "Rows": pixels.shape[0],
            "Columns": pixels.shape[1],
            "SamplesPerPixel": 3 if colour else 1,
            "BitsAllocated": bits,
            "BitsStored": bits,
            "HighBit": bits - 1,
            "PixelRepresentation": int(pixels.dtype.kind == "i"),
        }
        told |= {"PlanarConfiguration": 0} if colour else {}
        order: Literal["<", ">"] = ">" if syntax == BIG_ENDIAN else "<"
        content = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    else:
        told |= {"SamplesPerPixel": 1, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
                 "PixelRepresentation": 0}  # fmt: skip
        content = pixels if isinstance(pixels, bytes) else encapsulate(pixels)
    dataset = Dataset()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.SOPInstanceUID = "1.2.3"
    for keyword, value in (told | elements).items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.PixelData = content + bytes(len(content) % 2)
    wide = told["BitsAllocated"] > 8 and not UID(syntax).is_compressed
    dataset["PixelData"].VR = "OW" if wide or syntax == IMPLICIT else "OB"
    dataset["PixelData"].is_undefined_length = syntax.startswith(f"{IMPLICIT}.4") or syntax == RLE
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def items(*groups: dict[str, Any]) -> Any:
    """Return a sequence of one item for each group of elements."""
    from pydicom import Dataset, Sequence

    made = []
    for group in groups:
        item = Dataset()
        for keyword, value in group.items():
            setattr(item, keyword, value)
            # Where pydicom may choose: words as numbers, and what no signed number is.
            if keyword.startswith("LUT") and isinstance(value, list) and min(value) >= 0:
                item[keyword].VR = "US"
        made.append(item)
    return Sequence(made)


def start(syntax: str = EXPLICIT) -> bytes:
    """Return the preamble and the file's meta elements, byte by byte."""
    name = syntax.encode() + bytes(len(syntax) % 2)
    element = struct.pack("<HH2sH", 2, 0x10, b"UI", len(name)) + name
    length = struct.pack("<HH2sHL", 2, 0, b"UL", 4, len(element))
    return bytes(128) + b"DICM" + length + element


def packbits(plane: bytes) -> bytes:
    """Return a segment of RLE: literal runs of 3 and repeated bytes in turn."""
    packed = bytearray()
    place = 0
    while place < len(plane):
        run = 1
        while run < 128 and plane[place : place + 1] == plane[place + run : place + run + 1]:
            run += 1
        if run > 1:
            packed += bytes([257 - run, plane[place]])
            place += run
        else:
            literal = plane[place : place + 3]
            packed += bytes([len(literal) - 1]) + literal
            place += len(literal)
    return bytes(packed) + bytes(len(packed) % 2)


def rle(*planes: bytes) -> bytes:
    """Return a frame of RLE with a segment for each plane of bytes, packed."""
    segments = [packbits(plane) for plane in planes]
    places = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16L", len(planes), *places, *[0] * (15 - len(places))) + b"".join(segments)


def example(name: str) -> bytes:
    """Return one of the files that come with pydicom."""
    import pydicom

    file = Path(pydicom.__file__).parent / "data" / "test_files" / name
    return file.read_bytes()
