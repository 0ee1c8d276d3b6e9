"""From stored values to what is displayed: units, windows, tables, inversion, colours."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from tests.support import dicoms, pictures
from topfive import Classifier
from topfive.errors import PictureError
from topfive.networks.cards import choose_recipe
from topfive.networks.published import NETWORKS
from topfive.pictures import contact_sheets, decoding, dicom_display, pixels, preparation
from topfive.sources.source import MAX_PIXELS

pytest.importorskip("pydicom", reason="needs pydicom: pip install 'topfive[dicom]'")

# Hounsfield units, as a scanner stores them: 12 bits, 1024 higher.
UNITS = np.array([[-1024, -160, -60, 40, 140, 240, 3071]])
CT: dict[str, Any] = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": 1,
                      "RescaleIntercept": -1024}  # fmt: skip
STORED = (UNITS + 1024).astype(np.uint16)
SOFT = (-160.0, 240.0)
SEEN = [0, 0, 64, 128, 191, 255, 255]


def shades(data: bytes, window: tuple[float, float] | None = None) -> list[int]:
    """Return the first row of a picture that is grey."""
    picture = np.asarray(decoding.decode(data, window=window)[0])
    assert (picture == picture[:, :, :1]).all()
    row: list[int] = picture[0, :, 0].tolist()
    return row


def row(*values: int, type: str = "i2") -> NDArray[Any]:
    return np.array([values], type)


def failure(data: bytes) -> PictureError:
    with pytest.raises(PictureError) as caught:
        decoding.decode(data)
    return caught.value


@pytest.mark.parametrize(
    "syntax",
    [dicoms.EXPLICIT, dicoms.IMPLICIT, dicoms.BIG_ENDIAN, dicoms.DEFLATED],
    ids=["explicit", "implicit", "big endian", "deflated"],
)
def test_the_window_is_in_hounsfield_units(syntax: str) -> None:
    assert shades(dicoms.dicom(STORED, syntax=syntax, **CT), SOFT) == SEEN
    signed = dicoms.dicom(UNITS.astype(np.int16), syntax=syntax)
    assert shades(signed, SOFT) == SEEN


def test_the_window_that_was_asked_for_goes_before_the_files_own() -> None:
    own = dicoms.dicom(STORED, WindowCenter=400, WindowWidth=2000, **CT)
    assert shades(own, SOFT) == SEEN
    assert shades(own) != SEEN


def test_the_recipes_window_reaches_dicom_in_the_tutorials_recipe_too() -> None:
    for name in ("default", "tutorial"):
        recipe = choose_recipe(NETWORKS["squeezenet"], name, window=SOFT)
        picture, size = preparation.decode(dicoms.dicom(STORED, **CT), recipe, MAX_PIXELS)
        assert np.asarray(picture)[0, :, 0].tolist() == SEEN
        assert size == (7, 1)


def test_without_any_window_the_picture_is_stretched_from_its_least_to_its_greatest() -> None:
    expected = [round(255 * Fraction(unit + 1024, 4095)) for unit in UNITS[0].tolist()]
    assert shades(dicoms.dicom(STORED, **CT)) == expected
    assert shades(dicoms.dicom(row(-500, 0, 500))) == [0, 128, 255]
    assert shades(dicoms.dicom(row(7, 7))) == [0, 0]


@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.IMPLICIT])
@pytest.mark.parametrize("limit", [None, -1500])
def test_what_fills_up_is_not_a_part_of_the_range(limit: int | None, syntax: str) -> None:
    between = -1800 if limit else -2000
    data = dicoms.dicom(
        row(-2000, between, 0, 500, 1000), syntax=syntax, PixelPaddingValue=-2000,
        PixelPaddingRangeLimit=limit,
    )  # fmt: skip
    assert shades(data) == [0, 0, 0, 128, 255]
    assert shades(dicoms.dicom(row(-2000, -2000), PixelPaddingValue=-2000)) == [0, 0]


def test_8_bits_without_a_window_are_as_they_are_and_fewer_are_scaled() -> None:
    values = row(10, 20, 200, type="u1")
    assert shades(dicoms.dicom(values)) == [10, 20, 200]
    assert shades(dicoms.dicom(values), (10, 210)) == [0, 13, 242]
    assert shades(dicoms.dicom(row(0, 3, 15, type="u1"), BitsStored=4, HighBit=3)) == [0, 51, 255]
    # As signed or rescaled numbers they have another black.
    assert shades(dicoms.dicom(row(-100, 0, 100, type="i1"))) == [0, 128, 255]
    rescaled = dicoms.dicom(values, RescaleSlope=1, RescaleIntercept=-10)
    assert shades(rescaled) == [0, 13, 255]


def test_in_monochrome1_the_low_values_are_bright() -> None:
    for window in (None, SOFT):
        usual = shades(dicoms.dicom(STORED, **CT), window)
        inverted = shades(dicoms.dicom(STORED, "MONOCHROME1", **CT), window)
        assert inverted == [255 - shade for shade in usual]


def by_the_standard(value: float, centre: float, width: float, function: str) -> int:
    """The formulas of PS3.3 C.11.2.1.2 and C.11.2.1.3, with 0 and 255 for the ends."""
    x, c, w = Fraction(value), Fraction(centre), Fraction(width)
    half = Fraction(1, 2)
    if function == "SIGMOID":
        return round(255 / (1 + math.exp(min(700, -4 * (value - centre) / width))))
    if function == "LINEAR":
        if x <= c - half - (w - 1) / 2:
            return 0
        return 255 if x > c - half + (w - 1) / 2 else round(((x - c + half) / (w - 1) + half) * 255)
    if x <= c - w / 2:
        return 0
    return 255 if x > c + w / 2 else round(((x - c) / w + half) * 255)


@pytest.mark.parametrize("function", [None, "LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("centre", "width"), [(40, 400), (2048, 4096), (2048, 1), (0.5, 2)])
def test_the_files_own_window_follows_the_standard(
    centre: float, width: float, function: str | None
) -> None:
    values = [-3000, -160, 0, 1, 40, 239, 240, 1000, 2047, 2048, 2049, 4096]
    data = dicoms.dicom(
        row(*values), WindowCenter=[centre, 9], WindowWidth=[width, 9], VOILUTFunction=function,
        WindowCenterWidthExplanation=["first", "second"],
    )  # fmt: skip
    expected = [by_the_standard(value, centre, width, function or "LINEAR") for value in values]
    assert shades(data) == expected


@pytest.mark.parametrize(
    ("centre", "width"), [(5, 0), (5, 0.5), (5, -10), (None, 9), (5, None), ("nan", 9), (5, "inf")]
)
def test_a_window_without_sense_is_passed_over(centre: Any, width: Any) -> None:
    # pydicom writes no such numbers, so they are put in as text.
    data = dicoms.dicom(row(-500, 0, 500), WindowCenter="123456", WindowWidth="654321")
    for placeholder, value in ((b"123456", centre), (b"654321", width)):
        assert data.count(placeholder) == 1
        text = "" if value is None else str(value)
        data = data.replace(placeholder, text.ljust(6).encode())
    assert shades(data) == [0, 128, 255]


def test_slopes_turn_and_stretch() -> None:
    values = row(0, 100, 200, type="u2")
    falling = dicoms.dicom(values, RescaleSlope=-2, RescaleIntercept=1000)
    assert shades(falling) == [255, 128, 0]
    assert shades(falling, (600, 1000)) == [255, 128, 0]
    tiny = dicoms.dicom(values, RescaleSlope="0.0015", RescaleIntercept=0)
    assert shades(tiny, (0, 0.3)) == [0, 128, 255]


@pytest.mark.parametrize("own", [True, False], ids=["of each frame", "of all"])
@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.IMPLICIT])
def test_the_first_frames_groups_hold_its_slope_and_its_window(own: bool, syntax: str) -> None:
    def group(intercept: int) -> dict[str, Any]:
        return {
            "PixelValueTransformationSequence": dicoms.items(
                {"RescaleSlope": 1, "RescaleIntercept": intercept, "RescaleType": "HU"}
            ),
            "FrameVOILUTSequence": dicoms.items(
                {"WindowCenter": 40, "WindowWidth": 400, "VOILUTFunction": "LINEAR_EXACT"}
            ),
        }

    groups: dict[str, Any] = (
        {"PerFrameFunctionalGroupsSequence": dicoms.items(group(-1024), group(0))}
        if own
        else {"SharedFunctionalGroupsSequence": dicoms.items(group(-1024))}
    )
    frames = np.concatenate([STORED, STORED[:, ::-1]])
    content = frames.astype("<u2").tobytes()
    told = CT | {"RescaleSlope": None, "RescaleIntercept": None, "BitsAllocated": 16}
    data = dicoms.dicom(content, syntax=syntax, Rows=1, Columns=7, NumberOfFrames=2,
                        **told, **groups)  # fmt: skip
    assert shades(data) == SEEN
    assert shades(data, (-1024, 3071))[:2] == [0, 54]


@pytest.mark.parametrize("form", ["numbers", "bytes", "packed"])
@pytest.mark.parametrize("syntax", [dicoms.EXPLICIT, dicoms.IMPLICIT, dicoms.BIG_ENDIAN])
def test_tables_make_the_modalitys_values_and_the_shades(form: str, syntax: str) -> None:
    entries = [0, 10, 30, 60]
    bits = 8 if form == "packed" else 16
    white = 2**bits - 1
    order = ">" if syntax == dicoms.BIG_ENDIAN else "<"

    def table(values: list[int]) -> dict[str, Any]:
        content = np.array(values, f"{order}u2").tobytes()
        if form == "packed":
            content = np.array(values, "u1").view("<u2").astype(f"{order}u2").tobytes()
        return {
            "LUTDescriptor": [4, 5, bits],
            "LUTData": values if form == "numbers" else content,
        }

    values = row(0, 5, 6, 7, 8, 100, type="u2")
    modality = dicoms.dicom(values, syntax=syntax, ModalityLUTSequence=dicoms.items(table(entries)))
    assert shades(modality, (0, 60)) == [0, 0, 42, 128, 255, 255]
    grey = [0, white // 5, white // 5 * 2, white]
    voi = dicoms.dicom(values, syntax=syntax, VOILUTSequence=dicoms.items(table(grey)))
    assert shades(voi) == [0, 0, 51, 102, 255, 255]
    assert shades(voi, (5, 8)) == [0, 0, 85, 170, 255, 255]


@pytest.mark.parametrize("first", [-1, 65535])
def test_a_table_for_signed_values_may_begin_below_zero(first: int) -> None:
    descriptor: dict[str, Any] = {"LUTDescriptor": [3, first, 8], "LUTData": [0, 100, 255]}
    data = dicoms.dicom(row(-5, -1, 0, 1, 9), VOILUTSequence=dicoms.items(descriptor))
    assert shades(data) == [0, 0, 100, 255, 255]


@pytest.mark.parametrize(
    "descriptor", [[9, 0, 16], [3, 0, 0], [3, 0, 99], [3, 0]], ids=["entries", "0", "99", "two"]
)
def test_a_broken_table_is_broken(descriptor: list[int]) -> None:
    item: dict[str, Any] = {"LUTDescriptor": descriptor, "LUTData": [1, 2, 3]}
    assert failure(dicoms.dicom(STORED, VOILUTSequence=dicoms.items(item))).kind == "broken"


def palette(values: NDArray[Any], bits: int, packed: bool, first: int = 0) -> bytes:
    paint = {"Red": [200, 0, 10], "Green": [0, 150, 20], "Blue": [5, 0, 255]}
    told: dict[str, Any] = {}
    for colour, shown in paint.items():
        entries = np.array(shown, "<u2") * (257 if bits == 16 else 1)
        told[f"{colour}PaletteColorLookupTableDescriptor"] = [3, first, bits]
        content = bytes([*shown, 0]) if packed else entries.tobytes()
        told[f"{colour}PaletteColorLookupTableData"] = content
    return dicoms.dicom(values, "PALETTE COLOR", **told)


@pytest.mark.parametrize(("bits", "packed"), [(8, False), (8, True), (16, False)])
@pytest.mark.parametrize("first", [0, 300])
def test_palettes_of_every_form_paint_the_picture(bits: int, packed: bool, first: int) -> None:
    values = row(first, first + 1, first + 2, first + 200, type="u2")
    painted = np.asarray(decoding.decode(palette(values, bits, packed, first), window=(0, 1))[0])
    assert painted.tolist() == [[[200, 0, 5], [0, 150, 0], [10, 20, 255], [10, 20, 255]]]


def test_a_palette_that_is_not_there_is_unsupported() -> None:
    error = failure(dicoms.dicom(row(1, type="u1"), "PALETTE COLOR"))
    assert error.kind == "unsupported"
    assert "palette" in str(error)


def test_colours_have_no_window_and_16_bits_become_8() -> None:
    colours = pictures.colours()
    plain = dicoms.dicom(colours, "RGB", WindowCenter=1, WindowWidth=2)
    assert np.array_equal(np.asarray(decoding.decode(plain, window=(0, 1))[0]), colours)
    deep = dicoms.dicom(colours.astype(np.uint16) * 257, "RGB")
    assert np.array_equal(np.asarray(decoding.decode(deep)[0]), colours)


def test_orientation_is_exifs_and_dicom_has_none() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    frame = pictures.encode(pictures.colours(), "JPEG", exif=exif)
    told: dict[str, Any] = {"Rows": 48, "Columns": 64, "SamplesPerPixel": 3,
                            "PlanarConfiguration": 0}  # fmt: skip
    data = dicoms.dicom([frame], "YBR_FULL_422", dicoms.JPEG, **told)
    assert decoding.decode(data)[0].size == (64, 48)


@pytest.mark.parametrize(
    "name", ["CT_small.dcm", "examples_overlay.dcm", "693_J2KI.dcm", "rtdose_1frame.dcm"]
)
def test_scanners_pictures_look_as_pydicom_shows_them(name: str) -> None:
    from pydicom import dcmread
    from pydicom.pixels import apply_modality_lut, apply_voi_lut

    data = dicoms.example(name)
    dataset = dcmread(io.BytesIO(data))
    shown = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(float)
    assert shown.ndim == 2
    if "WindowWidth" in dataset:  # its ends are those of the bits, which the picture may not reach
        ends = np.array([0, 2**dataset.BitsStored - 1]) - dataset.PixelRepresentation * (
            2 ** (dataset.BitsStored - 1)
        )
        low, high = apply_modality_lut(ends, dataset)
    else:
        low, high = shown.min(), shown.max()
    expected = np.rint(255 * (shown - low) / (high - low))
    assert np.abs(np.asarray(decoding.decode(data)[0])[:, :, 0] - expected).max() <= 1
    assert expected.std() > 20


def test_memory_is_what_the_values_and_the_shades_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """No array of floats as large as the picture."""
    seen: list[int] = []

    monkeypatch.setattr("topfive.pictures.dicom_display.PART", 1000)
    monkeypatch.setattr("topfive.pictures.pixels.PART", 1000)

    def windowed(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
        seen.append(values.size)
        return pixels.windowed(values, low, high)

    monkeypatch.setattr(dicom_display, "windowed", windowed)
    values = np.random.default_rng(7).integers(0, 4096, (50, 70), np.uint16)
    picture = np.asarray(decoding.decode(dicoms.dicom(values, **CT))[0])[:, :, 0]
    low, high = int(values.min()), int(values.max())
    assert np.array_equal(picture, np.rint(255.0 * (values - low) / (high - low)))
    assert max(seen) == 1000


def test_a_dicom_file_is_classified_and_has_its_thumbnail(
    squeezenet: Classifier, tmp_path: Path
) -> None:
    file = tmp_path / "IM000001"
    file.write_bytes(dicoms.example("CT_small.dcm"))
    (answer,) = squeezenet.stream([file])
    assert answer.to_dict()["predictions"]
    (thumbnail,) = contact_sheets.thumbnails([str(file)], 96).values()
    assert thumbnail.size == (96, 96)
    assert np.asarray(thumbnail).std() > 20
