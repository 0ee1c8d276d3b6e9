"""What is read of a DICOM file's header, and what a hostile one cannot do."""

from __future__ import annotations

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

from tests.support import dicoms, pictures
from topfive.errors import PictureError
from topfive.networks.cards import choose_recipe
from topfive.networks.published import NETWORKS
from topfive.pictures import decoding, dicom_header, preparation
from topfive.sources import archives
from topfive.sources.arguments import read
from topfive.sources.source import MAX_PIXELS, from_object

pytest.importorskip("pydicom", reason="needs pydicom: pip install 'topfive[dicom]'")

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8) * 5
PLAIN = dicoms.dicom(GREY)
ITEM = struct.pack("<HHL", 0xFFFE, 0xE000, 0)
ENDLESS = 0xFFFFFFFF


def failure(data: bytes, **options: Any) -> PictureError:
    with pytest.raises(PictureError) as caught:
        decoding.decode(data, **options)
    assert "\n" not in str(caught.value)
    return caught.value


def sequence(group: int, element: int, content: bytes, length: int = ENDLESS) -> bytes:
    return struct.pack("<HH2sHL", group, element, b"SQ", 0, length) + content


@pytest.mark.parametrize(
    "syntax",
    [dicoms.EXPLICIT, dicoms.IMPLICIT, dicoms.BIG_ENDIAN, dicoms.DEFLATED],
    ids=["explicit", "implicit", "big endian", "deflated"],
)
def test_the_transfer_syntaxes_without_compression_give_the_same_picture(syntax: str) -> None:
    data = dicoms.dicom(GREY, syntax=syntax)
    assert dicom_header.is_dicom(data)
    picture = decoding.decode(data)[0]
    assert picture.mode == "RGB"
    assert picture.size == (8, 6)
    assert np.array_equal(np.asarray(picture)[:, :, 0], GREY)


def test_width_height_and_hash_are_those_of_the_file() -> None:
    recipe = choose_recipe(NETWORKS["squeezenet"])
    prepared = preparation.prepare(from_object(PLAIN), 32, recipe, MAX_PIXELS, draft=True)
    assert (prepared.width, prepared.height) == (8, 6)
    assert isinstance(prepared.square, np.ndarray)
    assert prepared.sha256 is not None


def test_a_header_without_its_length_or_its_transfer_syntax_is_read() -> None:
    elements = PLAIN[PLAIN.index(b"\x08\0\x16\0UI") :]
    picture = decoding.decode(bytes(128) + b"DICM" + elements)[0]
    assert np.array_equal(np.asarray(picture)[:, :, 0], GREY)


IMPORTS = """
import sys
from topfive.pictures import decoding as images; from topfive.pictures import preparation
for data in eval(sys.stdin.read()):
    images.decode(data)
print("pydicom" in sys.modules)
"""


@pytest.mark.slow
def test_pydicom_is_imported_for_dicom_alone() -> None:
    jpeg = pictures.encode(pictures.colours(), "JPEG")
    for data, imported in (([jpeg], "False"), ([jpeg, PLAIN], "True")):
        run = subprocess.run(
            [sys.executable, "-c", IMPORTS],
            input=repr(data), capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert run.stdout.strip() == imported


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.4.80", "JPEG-LS Lossless"),
        ("1.2.840.10008.1.2.4.70", "JPEG Lossless"),
        ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC"),
        ("1.2.3.4", "'1.2.3.4'"),
    ],
    ids=["jpeg-ls", "jpeg lossless", "video", "private"],
)
def test_other_transfer_syntaxes_are_refused_by_their_names(syntax: str, name: str) -> None:
    error = failure(dicoms.start(syntax) + b"anything")
    assert error.kind == "unsupported"
    assert name in str(error)
    assert "expected it uncompressed, or in RLE, JPEG or JPEG 2000" in str(error)


@pytest.mark.parametrize("name", ["rtplan.dcm", "test-SR.dcm", "dicomdirtests/DICOMDIR"])
def test_a_file_without_a_picture_is_none(name: str) -> None:
    error = failure(dicoms.example(name))
    assert error.kind == "not-a-picture"
    assert "holds no picture" in str(error)


def test_the_size_is_refused_before_the_pixels_are_touched() -> None:
    assert decoding.decode(PLAIN, max_pixels=48)[0].size == (8, 6)
    error = failure(PLAIN, max_pixels=47)
    assert (error.kind, str(error)) == (
        "too-large",
        "8 x 6 pixels are over the limit of 47 (--max-pixels)",
    )
    huge = dicoms.dicom(GREY, Rows=65535, Columns=65535)
    start = time.perf_counter()
    assert failure(huge).kind == "too-large"
    assert time.perf_counter() - start < 0.5


@pytest.mark.parametrize(
    ("elements", "kind", "message"),
    [
        ({"Rows": 7}, "broken", "less than expected"),
        ({"Columns": 3000, "Rows": 3000}, "broken", "less than expected"),
        ({"NumberOfFrames": 2}, "broken", "less than expected"),
        ({"NumberOfFrames": 2_000_000_000}, "broken", "less than expected"),
        ({"NumberOfFrames": -1}, "broken", "Number of Frames"),
        ({"Rows": 0}, "empty", "8 x 0"),
        ({"Columns": None}, "broken", "no Columns"),
        ({"BitsAllocated": None}, "broken", "no BitsAllocated"),
        ({"BitsAllocated": 12}, "broken", "Bits Allocated"),
        ({"BitsStored": 17}, "broken", "Bits Stored"),
        ({"SamplesPerPixel": 3}, "broken", "less than expected"),
        ({"SamplesPerPixel": 2}, "broken", "Samples per Pixel"),
        ({"PhotometricInterpretation": "HSV"}, "unsupported", "'HSV'"),
        ({"PhotometricInterpretation": "RGB"}, "unsupported", "'RGB'"),
        ({"PhotometricInterpretation": None}, "broken", "Photometric"),
    ],
)
def test_a_header_that_lies_is_an_error(elements: dict[str, Any], kind: str, message: str) -> None:
    error = failure(dicoms.dicom(GREY, **elements))
    assert error.kind == kind
    assert message in str(error)


def test_a_truncated_file_is_broken_once_a_picture_has_begun() -> None:
    data = dicoms.dicom(np.zeros((40, 40), np.uint16))
    rows = data.index(struct.pack("<HH2s", 0x28, 0x10, b"US")) + 10
    pixels = data.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OW"))
    for cut, message in (
        (rows, "it ends before its pixels"),
        (pixels, "it ends before its pixels"),
        (pixels + 12, "0 vs 3200 bytes"),
        (len(data) - 1, "3199 vs 3200 bytes"),
    ):
        error = failure(data[:cut])
        assert error.kind == "broken"
        assert message in str(error)
    for cut in (132, 200, rows - 20):
        assert failure(data[:cut]).kind == "not-a-picture"


def test_a_deflated_file_is_unpacked_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dicom_header, "MAX_UNPACKED", 1 << 20)
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes((1 << 20) + 1)) + packer.flush()
    error = failure(dicoms.start(dicoms.DEFLATED) + bomb)
    assert (error.kind, str(error)) == ("too-large", "unpacked it has over 1,048,576 bytes")
    assert failure(dicoms.start(dicoms.DEFLATED) + b"no stream").kind == "broken"


@pytest.mark.parametrize(
    "content",
    [
        sequence(8, 0x1140, ITEM * 1000),
        sequence(8, 0x1140, struct.pack("<HHL", 0xFFFE, 0xE000, ENDLESS)) * 5000,
        b"".join(struct.pack("<HH2sH", 9, number, b"LO", 0) for number in range(200)),
    ],
    ids=["items", "nested", "elements"],
)
def test_sequences_without_end_and_millions_of_elements_are_refused(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = []

    class Counted(dicom_header.Limited):
        left = 150

        def read(self, size: int | None = -1, /) -> bytes:
            reads.append(size)
            return super().read(size)

    monkeypatch.setattr(dicom_header, "Limited", Counted)
    assert failure(dicoms.start() + content).kind == "broken"
    assert 140 < len(reads) < 160


def test_of_a_wanted_sequence_only_the_first_item_is_read() -> None:
    """A million frames' groups of elements, in a sequence whose length is told."""
    place = PLAIN.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB"))
    groups = sequence(0x5200, 0x9230, ITEM * 1_000_000, 8_000_000)
    start = time.perf_counter()
    assert decoding.decode(PLAIN[:place] + groups + PLAIN[place:])[0].size == (8, 6)
    assert time.perf_counter() - start < 1


def test_a_value_of_megabytes_is_refused_before_it_is_taken_apart() -> None:
    data = dicoms.dicom(GREY, syntax=dicoms.IMPLICIT)
    place = data.index(struct.pack("<HH", 0x7FE0, 0x10))
    windows = struct.pack("<HHL", 0x28, 0x1050, 4_000_000) + b"1\\" * 2_000_000
    start = time.perf_counter()
    error = failure(data[:place] + windows + data[place:])
    assert (error.kind, str(error)) == (
        "broken",
        "broken or cut off: WindowCenter has 4,000,000 bytes",
    )
    assert time.perf_counter() - start < 0.5


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_nothing_but_a_picture_error(data: st.DataObject) -> None:
    rescaled = dicoms.dicom(
        GREY.astype(np.int16), RescaleSlope=2, RescaleIntercept=-9, WindowCenter=[4, 5],
        WindowWidth=[9, 9], VOILUTFunction="SIGMOID",
    )  # fmt: skip
    packed = dicoms.dicom([dicoms.rle(GREY.tobytes())], syntax=dicoms.RLE, Rows=6, Columns=8)
    implicit = dicoms.dicom(GREY, syntax=dicoms.IMPLICIT)
    content = bytearray(data.draw(st.sampled_from([PLAIN, rescaled, packed, implicit])))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(132, len(content) - 1))] = data.draw(st.integers(0, 255))
    error = None
    try:
        decoding.decode(bytes(content[: data.draw(st.integers(140, len(content)))]), 100_000)
    except PictureError as raised:
        error = raised
    if error is not None:
        assert error.kind in ("broken", "not-a-picture", "too-large", "empty", "unsupported")
        assert "\n" not in str(error)


HOOKED = """
import sys
from topfive.pictures import decoding as images
from topfive.errors import PictureError
first, *rest = eval(sys.stdin.read())
images.decode(first)
seen = []
def hook(event, arguments):
    if event.split(".")[0] in ("open", "socket", "subprocess", "os", "urllib"):
        # Modules that are imported late are opened by Python itself.
        if event != "open" or not str(arguments[0]).endswith((".pyc", ".py", ".so")):
            seen.append((event, arguments))
sys.addaudithook(hook)
for data in rest:
    try:
        images.decode(data)
    except PictureError:
        pass
print([one for one in seen if one[0] not in ("os.listdir", "os.scandir")])
"""


@pytest.mark.slow
def test_nothing_is_printed_and_no_other_file_is_opened() -> None:
    """Whatever a file names: files, addresses."""
    references: dict[str, Any] = {
        "ReferencedFileID": ["ETC", "PASSWD"],
        "RetrieveURI": "http://example.com/",
        "RetrieveURL": "http://example.com/",
        "PixelDataProviderURL": "http://example.com/",
        "SpecificCharacterSet": "ISO_IR 192",
    }
    warned = dicoms.dicom(GREY, **references).replace(b"ISO_IR 192", b"ISO_IR 999")
    excess = dicoms.dicom(GREY.tobytes() * 3, Rows=6, Columns=8)
    odd = dicoms.example("UN_sequence.dcm"), dicoms.example("badVR.dcm")
    packed = dicoms.dicom([dicoms.rle(GREY.tobytes())], syntax=dicoms.RLE, Rows=6, Columns=8)
    broken = dicoms.dicom([b"\xff\x4f\xff\x51" * 20], syntax=dicoms.JPEG_2000, Rows=6, Columns=8)
    inputs = [PLAIN, warned, excess, *odd, packed, broken, dicoms.example("GDCMJ2K_TextGBR.dcm")]
    inputs += [data[: len(data) * 3 // 4] for data in inputs]
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", HOOKED],
        input=repr(inputs), capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stderr == ""
    assert run.stdout.strip() == "[]"


def test_a_folders_dicom_files_are_found_with_their_ending_and_without(tmp_path: Path) -> None:
    assert {".dcm", ".dicom"} <= set(archives.PICTURES)
    for name in ("one.dcm", "two.DICOM", "IM000001"):
        (tmp_path / name).write_bytes(PLAIN)
        assert archives.kind(os.fspath(tmp_path / name)) is None
    found = list(read([os.fspath(tmp_path)], unpack=True))
    assert len(found) == 3
    assert all(decoding.decode(source.read())[0].size == (8, 6) for source in found)


SYNTAXES = {"explicit": dicoms.EXPLICIT, "implicit": dicoms.IMPLICIT, "big": dicoms.BIG_ENDIAN}


def elements_of(syntax: str) -> bytes:
    """Return a file's elements alone, without what says how they are written."""
    data = dicoms.dicom(GREY, syntax=syntax)
    first = struct.pack(">HH" if syntax == dicoms.BIG_ENDIAN else "<HH", 8, 0x16)
    return data[data.index(first, 132) :]


@pytest.mark.parametrize("syntax", SYNTAXES.values(), ids=SYNTAXES)
def test_a_file_without_its_preamble_is_read(syntax: str) -> None:
    whole, elements = dicoms.dicom(GREY, syntax=syntax), elements_of(syntax)
    for data in (whole[132:], whole[128:], elements, b"DICM" + elements,
                 bytes(128) + b"DICM" + elements):  # fmt: skip
        assert dicom_header.is_dicom(data)
        picture = decoding.decode(data)[0]
        assert np.array_equal(np.asarray(picture)[:, :, 0], GREY)


def test_a_compressed_file_without_its_preamble_is_read_as_its_meta_elements_say() -> None:
    grey = np.zeros((6, 8), np.uint8)
    frame = pictures.encode(np.dstack([grey] * 3)[:, :, 0], "JPEG")
    data = dicoms.dicom([frame], syntax=dicoms.JPEG, Rows=6, Columns=8)
    assert np.abs(np.asarray(decoding.decode(data[132:])[0]).astype(int)).max() <= 2
    first = data.index(struct.pack("<HH", 8, 0x16), 132)
    assert failure(data[first:]).kind == "broken"  # what it is compressed by is not said


def test_other_files_are_not_taken_for_dicom() -> None:
    grey = pictures.colours()
    for format in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "TGA", "ICO", "PCX", "SGI", "PPM"):
        assert not dicom_header.is_dicom(pictures.encode(grey, format))
    with_name = bytearray(pictures.encode(grey, "TGA"))
    for length in (2, 8):  # of the name that a TGA begins with
        with_name[0] = length
        data = bytes(with_name[:18]) + b"a" * length + bytes(with_name[18:])
        assert not dicom_header.is_dicom(data)
        assert decoding.decode(data)[0].size == (64, 48)
    short = (b"", b"\x08\0", b"\x08\0\x16\0", b"\2\0\0\0UL", b"\x08\0\x16\0\x1a\0\0\0short")
    other = (bytes(500), b"\x08\0" * 40, b"\x08\0\5\0" * 40, b"\x08\0\5\0\xff\xff\xff\xff" * 9)
    for data in short + other:
        assert not dicom_header.is_dicom(data)


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"\x08\0\5\0CS", b"\2\0\0\0UL", b"\0\x08\0\5CS", b"DICM"]), st.binary())
def test_whatever_comes_after_such_a_beginning_is_a_picture_error(
    start: bytes, rest: bytes
) -> None:
    with pytest.raises(PictureError):
        decoding.decode(start + rest)
