"""From a DICOM file's stored values to what is displayed.

Source: PS3.3, sections C.7.6.3 (pixels), C.11.1 (stored values to those of the modality, such
as Hounsfield units), C.11.2 (those to shades of grey).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.errors import PictureError
from topfive.pictures.dicom_frames import stored_values
from topfive.pictures.dicom_header import Header, first_item, integer, number, value, values
from topfive.pictures.pixels import PART, Window, by_parts, windowed

if TYPE_CHECKING:
    from pydicom import Dataset

Values = NDArray[Any]
Shade = Callable[[Values], NDArray[np.uint8]]

# Each frame's own elements, and those that all have, in multi-frame files of the newer kind.
GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")


def to_picture(header: Header, window: Window | None = None) -> Image.Image:
    """Return the first picture of a DICOM file in 8 bits, grey or RGB.

    Grey is shown in `window`, whose ends are in the modality's units (Hounsfield's for CT), or
    else in the file's own first window or table; without any of them 8 bits are taken as they
    are and more are stretched from the least to the greatest value, those that fill up left
    out. In `MONOCHROME1` black and white are exchanged. Colours are taken as they are.

    Raises:
        PictureError: compressed or coloured in a way that is not read.
        Exception: whatever pydicom and Pillow raise of a broken file.
    """
    stored, photometric = stored_values(header)
    if photometric in ("MONOCHROME1", "MONOCHROME2") and stored.ndim == 2:
        with np.errstate(all="ignore"):
            grey = _grey(header, stored, window)
        return Image.fromarray(255 - grey if photometric == "MONOCHROME1" else grey)
    if photometric == "PALETTE COLOR" and stored.ndim == 2:
        colours = [_painted(header, stored, colour) for colour in ("Red", "Green", "Blue")]
        return Image.merge("RGB", colours)
    if photometric in ("RGB", "YBR_FULL", "YBR_FULL_422") and stored.ndim == 3:
        if stored.dtype != np.uint8:
            stored = windowed(stored, 0, 2 ** integer(header.elements, "BitsStored") - 1)
        mode = "RGB" if photometric == "RGB" else "YCbCr"
        picture = Image.frombytes(mode, header.size, stored.tobytes())
        return picture.convert("RGB")
    raise PictureError("unsupported", f"colours of the kind {photometric!r} are not read")


def _grey(header: Header, stored: Values, window: Window | None) -> Values:
    elements = header.elements
    bits = integer(elements, "BitsStored", 8 * stored.itemsize)
    modality = _modality(header)
    if window:
        shade: Shade | None = partial(windowed, low=window[0], high=window[1])
    else:
        shade = _own_window(_of_frame(elements, "FrameVOILUTSequence"))
        if shade is None and (item := first_item(elements, "VOILUTSequence")) is not None:
            shade = _by_table(header, item, "LUT")
    if shade is None and modality is None and stored.dtype.kind == "u" and bits <= 8:
        shade = partial(windowed, low=0, high=2**bits - 1)
    modality = modality or np.asarray
    if shade is None:
        low, high = _range(elements, stored, modality)
        shade = partial(windowed, low=low, high=high)
    return by_parts(lambda part: shade(modality(part)), stored)


def _modality(header: Header) -> Callable[[Values], Values] | None:
    """Return what makes the modality's values of stored ones, None where they are the same."""
    if (item := first_item(header.elements, "ModalityLUTSequence")) is not None:
        first, table, _ = _table(header, item, "LUT")
        return lambda part: _look_up(part, first, table)
    elements = _of_frame(header.elements, "PixelValueTransformationSequence")
    slope, intercept = number(elements, "RescaleSlope"), number(elements, "RescaleIntercept")
    if slope in (None, 1) and intercept in (None, 0):
        return None
    factor, summand = 1.0 if slope is None else slope, intercept or 0.0
    return lambda part: part.astype(np.float64) * factor + summand


def _own_window(elements: Dataset) -> Shade | None:
    """Return the file's first window, None where it has none that makes sense."""
    centre, width = number(elements, "WindowCenter"), number(elements, "WindowWidth")
    function = str(value(elements, "VOILUTFunction") or "LINEAR").upper()
    if centre is None or width is None or width < (1 if function == "LINEAR" else 1e-9):
        return None
    if function == "SIGMOID":
        return partial(_sigmoid, centre=centre, width=width)
    if function == "LINEAR":  # the ends are those of whole numbers
        centre, width = centre - 0.5, width - 1
    return partial(windowed, low=centre - width / 2, high=centre + width / 2)


def _sigmoid(part: Values, centre: float, width: float) -> NDArray[np.uint8]:
    curve = 255 / (1 + np.exp(-4 * (part.astype(np.float64) - centre) / width))
    return np.rint(np.nan_to_num(curve)).astype(np.uint8)


def _painted(header: Header, stored: Values, colour: str) -> Image.Image:
    name = f"{colour}PaletteColorLookupTable"
    if header.elements.get_item(f"{name}Data") is None:
        what = "colours from a palette that is not in the file, or in segments,"
        raise PictureError("unsupported", f"{what} are not read")
    return Image.fromarray(by_parts(_by_table(header, header.elements, name), stored))


def _by_table(header: Header, item: Dataset, name: str) -> Shade:
    first, table, bits = _table(header, item, name)
    shades = windowed(table, 0, 2**bits - 1)
    return lambda part: _look_up(np.rint(part), first, shades)


def _table(header: Header, item: Dataset, name: str) -> tuple[int, Values, int]:
    """Return the stored value of a table's first entry, its entries, and how many bits they have.

    Source: PS3.3, sections C.7.6.3.1.5 and C.11.1.1.1.
    """
    described, content = values(item, f"{name}Descriptor"), values(item, f"{name}Data")
    if described and isinstance(described[0], bytes):  # implicit: either kind of number
        described = np.frombuffer(described[0], f"{header.order}u2").tolist()
    entries, first, bits = (int(one) for one in described)
    entries = entries or 1 << 16
    if len(content) == 1 and isinstance(content[0], bytes):
        table = np.frombuffer(content[0], f"{header.order}u2")
    else:
        table = np.array(content, np.uint16)
    if 2 * table.size in (entries, entries + 1):  # two of 8 bits in each word
        table = table.astype("<u2").view(np.uint8)
    if not 1 <= bits <= 16 or table.size < entries:
        raise ValueError(f"a table of {table.size} entries; expected {entries} of {bits} bits")
    signed = integer(header.elements, "PixelRepresentation", 0) == 1
    first = first - 65536 if signed and first > 32767 else first
    return first, table[:entries], min(bits, 8 * table.itemsize)


def _look_up(part: Values, first: int, table: Values) -> Values:
    return table[np.clip(part.astype(np.int64) - first, 0, len(table) - 1)]


def _range(
    elements: Dataset, stored: Values, modality: Callable[[Values], Values]
) -> tuple[float, float]:
    """Return the least and the greatest of the modality's values, without those that fill up."""
    filling = number(elements, "PixelPaddingValue")
    limit = number(elements, "PixelPaddingRangeLimit")
    limit = filling if limit is None else limit
    low, high, flat = math.inf, -math.inf, stored.reshape(-1)
    for start in range(0, flat.size, PART):
        part = flat[start : start + PART]
        if filling is not None and limit is not None:
            part = part[(part < min(filling, limit)) | (part > max(filling, limit))]
        part = modality(part).astype(np.float64)
        part = part[np.isfinite(part)]
        low = min(low, float(part.min(initial=math.inf)))
        high = max(high, float(part.max(initial=-math.inf)))
    return low, max(low, high)


def _of_frame(elements: Dataset, keyword: str) -> Dataset:
    """Return what holds elements of the first frame: its own item, that of all, or the file."""
    for groups in GROUPS:
        group = first_item(elements, groups)
        if group is not None and (item := first_item(group, keyword)) is not None:
            return item
    return elements
