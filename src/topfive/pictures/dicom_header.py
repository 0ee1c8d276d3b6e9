"""The header of a DICOM file: what it says of its first picture, and where that is.
What is stopped here: a deflated file of any size, millions of items, values of gigabytes."""

from __future__ import annotations

import io
import math
import struct
import zlib
from collections.abc import MutableSequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from topfive.errors import PictureError
from topfive.system import extras

if TYPE_CHECKING:
    from pydicom import Dataset

PREAMBLE = 128
# PS3.5, section 6.2: the kinds of value (VR).
KINDS = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR"
    b" US UT UV".split()
)
MAX_READS = 500_000  # an element takes two or three, an item several
MAX_UNPACKED = 1 << 28  # bytes: 100 million pixels of 16 bits, and more
MAX_VALUE = 1 << 17  # bytes: the largest table has 65,536 entries of 16 bits

# PS3.5, section 10 and annex A; what is not here is not read.
_ROOT = "1.2.840.10008.1.2"
IMPLICIT, EXPLICIT, BIG_ENDIAN = _ROOT, f"{_ROOT}.1", f"{_ROOT}.2"
ENCODINGS = {
    IMPLICIT: "plain",
    EXPLICIT: "plain",
    BIG_ENDIAN: "plain",
    f"{_ROOT}.1.99": "deflated",
    f"{_ROOT}.4.50": "JPEG",
    f"{_ROOT}.4.51": "JPEG",
    f"{_ROOT}.4.90": "JPEG2000",
    f"{_ROOT}.4.91": "JPEG2000",
    f"{_ROOT}.5": "RLE",
}
PIXELS = {
    0x7FE00008: "FloatPixelData",
    0x7FE00009: "DoubleFloatPixelData",
    0x7FE00010: "PixelData",
}
ELEMENTS = """Rows Columns NumberOfFrames SamplesPerPixel PhotometricInterpretation
    PlanarConfiguration BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
    PixelPaddingRangeLimit RescaleSlope RescaleIntercept ModalityLUTSequence WindowCenter
    WindowWidth VOILUTFunction VOILUTSequence SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence RedPaletteColorLookupTableDescriptor
    RedPaletteColorLookupTableData GreenPaletteColorLookupTableDescriptor
    GreenPaletteColorLookupTableData BluePaletteColorLookupTableDescriptor
    BluePaletteColorLookupTableData""".split()


class Limited(io.BytesIO):
    """Bytes that may be read a limited number of times."""

    left = MAX_READS

    def read(self, size: int | None = -1, /) -> bytes:
        self.left -= 1
        if self.left < 0:
            raise ValueError(f"over {MAX_READS:,} parts")
        return super().read(size)


@dataclass(frozen=True)
class Header:
    """A file that was opened: the elements that tell of its picture, its transfer syntax, and
    where in `data` its pixels are: their keyword, kind of value (VR), start, length in bytes."""

    elements: Dataset
    syntax: str
    data: bytes
    keyword: str
    kind: str
    start: int
    length: int

    @property
    def size(self) -> tuple[int, int]:
        """The picture's width and height in pixels."""
        return integer(self.elements, "Columns"), integer(self.elements, "Rows")

    @property
    def order(self) -> str:
        """The byte order of numbers, as NumPy spells it."""
        return ">" if self.syntax == BIG_ENDIAN else "<"

    @property
    def photometric(self) -> str:
        """What the stored values are: `MONOCHROME2`, `RGB`, `PALETTE COLOR`..."""
        return str(value(self.elements, "PhotometricInterpretation"))


def is_dicom(data: bytes) -> bool:
    """Return whether the bytes begin as a DICOM file does, or as one that lost its preamble."""
    return _find_start(data) is not None


def _find_start(data: bytes) -> int | None:
    """Return where a DICOM file's elements begin, None where it is none.

    Source: PS3.10, section 7.1.
    """
    for place in (PREAMBLE, 0):
        if data[place : place + 4] == b"DICM":
            return place + 4
    return 0 if _guess_syntax(data, 0) else None


def _guess_syntax(data: bytes, start: int) -> str | None:
    """Return how elements are written that begin with group 2 or 8, by how they look; None where
    they look like none. Source: PS3.5, section 7.1."""
    if data[start : start + 2] not in (b"\2\0", b"\x08\0", b"\0\x08") or len(data) < start + 8:
        return None
    if data[start + 4 : start + 6] in KINDS:
        return BIG_ENDIAN if data[start : start + 1] == b"\0" else EXPLICIT
    last = 0
    for _ in range(3):  # the first elements that say no kind: in order, each inside the file
        if len(data) < start + 8:
            return None
        group, element, length = struct.unpack_from("<HHI", data, start)
        if group < 8 or group % 2 or group << 16 | element <= last or length % 2:
            return None
        last, start = group << 16 | element, start + 8 + length
    return IMPLICIT


def open_header(data: bytes) -> Header:
    """Return a DICOM file's header; its pixels are not touched.

    Raises:
        PictureError: no pydicom, no picture, or in a transfer syntax that is not read.
        Exception: whatever pydicom raises of a broken file.
    """
    try:
        import pydicom.pixels  # noqa: F401  it came with 3.0
        from pydicom import Dataset
        from pydicom.filereader import read_dataset
        from pydicom.tag import Tag
        from pydicom.uid import UID
    except ImportError as error:
        needs = f"DICOM needs an extra: {extras.install('dicom')}"
        raise PictureError("unsupported", needs) from error
    file = Limited(data)
    start = _find_start(data) or 0
    file.seek(start)
    meta = Dataset()
    if data[start : start + 2] == b"\2\0":
        meta = read_dataset(file, False, True, stop_when=lambda tag, *_: tag >> 16 != 2)
    syntax = str(value(meta, "TransferSyntaxUID") or _guess_syntax(data, file.tell()) or EXPLICIT)
    if syntax not in ENCODINGS:
        what = f"DICOM in {UID(syntax).name!r} is not read"
        expected = "expected it uncompressed, or in RLE, JPEG or JPEG 2000"
        raise PictureError("unsupported", f"{what}; {expected}")
    if ENCODINGS[syntax] == "deflated":
        inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        data = inflate.decompress(data[file.tell() :], MAX_UNPACKED + 1)
        if len(data) > MAX_UNPACKED:
            raise PictureError("too-large", f"unpacked it has over {MAX_UNPACKED:,} bytes")
        file = Limited(data)
    found: list[tuple[str, str, int, int]] = []

    def at_pixels(tag: int, kind: str | None, length: int) -> bool:
        if tag in PIXELS:
            found.append((PIXELS[tag], kind or "OW", file.tell(), length))
        return tag in PIXELS

    tags = [Tag(keyword) for keyword in ELEMENTS]
    order = (syntax == IMPLICIT, syntax != BIG_ENDIAN)
    elements = read_dataset(file, *order, stop_when=at_pixels, specific_tags=tags)
    if not found and elements.get_item("Rows"):
        raise ValueError("it ends before its pixels")
    if not found:
        raise PictureError("not-a-picture", "a DICOM file that holds no picture")
    return Header(elements, syntax, data, *found[0])


def values(elements: Dataset, keyword: str) -> list[Any]:
    """Return an element's values, none where it is missing; what is only bytes is one.

    Raises:
        ValueError: it is longer than any that makes sense.
    """
    raw = elements.get_item(keyword)
    if raw is None:
        return []
    if isinstance(raw.value, bytes) and len(raw.value) > MAX_VALUE:
        raise ValueError(f"{keyword} has {len(raw.value):,} bytes")
    found = elements[keyword].value
    if isinstance(found, MutableSequence):
        return list(found)
    return [] if found in (None, "", b"") else [found]


def value(elements: Dataset, keyword: str) -> Any:
    """Return an element's first value, None where it is missing."""
    return next(iter(values(elements, keyword)), None)


def number(elements: Dataset, keyword: str) -> float | None:
    """Return an element's first value, None where it is missing or not finite."""
    found = value(elements, keyword)
    return float(found) if found is not None and math.isfinite(found) else None


def integer(elements: Dataset, keyword: str, otherwise: int | None = None) -> int:
    """Return an element's first value.

    Raises:
        ValueError: it is missing.
    """
    found = value(elements, keyword)
    found = otherwise if found is None else found
    if found is None:
        raise ValueError(f"it has no {keyword}")
    return int(found)


def first_item(elements: Dataset, keyword: str) -> Dataset | None:
    """Return the first item of a sequence, None where it has none; the others are not read."""
    from pydicom.charset import default_encoding
    from pydicom.dataelem import RawDataElement
    from pydicom.filereader import read_sequence_item

    found = elements.get_item(keyword)
    if found is None or not found.value:
        return None
    if not isinstance(found, RawDataElement):
        item: Dataset = found.value[0]
        return item
    return read_sequence_item(
        Limited(found.value), found.is_implicit_VR, found.is_little_endian, default_encoding
    )
