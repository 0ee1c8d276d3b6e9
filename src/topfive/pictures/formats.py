"""Open a picture with the format that its content shows, out of a list of safe ones.
What Pillow lacks is here: such a list, a limit on a JPEG's scans, silence on stderr, HEIC."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import io
import logging
import re
from pathlib import Path

import PIL
from PIL import Image, ImageFile, UnidentifiedImageError

from topfive.errors import PictureError
from topfive.system import extras

# libjpeg-turbo's own fuzzing bound; 3,000 scans in 152 KB take 51 s to decode.
MAX_SCANS = 100
# All that Pillow reads but what starts another program or another parser: EPS (Ghostscript),
# WMF (Windows GDI), IPTC (opens what is inside with any format), BLP (a JPEG inside whose
# scans nobody counts), and the stubs for MPEG, HDF5, GRIB and BUFR.
FORMATS = frozenset(
    """AVIF BMP CUR DCX DDS DIB FITS FLI FTEX GBR GIF HEIF ICNS ICO IM IMT JPEG JPEG2000
    MCIDAS MPO MSP PCD PCX PIXAR PNG PPM PSD QOI SGI SPIDER SUN TGA TIFF WEBP XBM XPM
    XVTHUMB""".split()
)
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_SCAN, _END, _START = 0xDA, 0xD9, 0xD8

# Without any handler Python prints a library's errors on standard error.
logging.getLogger("PIL").addHandler(logging.NullHandler())


def open_picture(data: bytes) -> ImageFile.ImageFile:
    """Return the picture in `data`, its header read, its pixels not yet.

    Raises:
        PictureError: no format has this signature, or the header is broken.
        Exception: whatever else Pillow raises.
    """
    _quieten_libtiff()
    signed: dict[str, Exception] = {}
    # The usual formats first: importing all of Pillow's takes a while.
    for register in (Image.preinit, Image.init, _register_heif):
        register()
        # A copy: another thread may be registering more.
        for name in [name for name in tuple(Image.OPEN) if name in FORMATS]:
            if name in signed or not _has_signature(data, name):
                continue
            try:
                return Image.open(io.BytesIO(data), formats=[name])
            except Image.DecompressionBombError:
                raise
            except UnidentifiedImageError:
                signed[name] = ValueError(f"no valid {name} header")
            except Exception as error:  # AVIF and HEIF share a signature: the next may do it
                signed[name] = error
    # Last those without a signature; a TGA can have the first bytes of a CUR.
    unsigned = sorted(name for name in FORMATS & set(Image.OPEN) if not Image.OPEN[name][1])
    with contextlib.suppress(UnidentifiedImageError):
        return Image.open(io.BytesIO(data), formats=unsigned)
    if data[4:8] == b"ftyp" and data[8:12] in HEIF_BRANDS and "HEIF" not in Image.OPEN:
        raise PictureError("unsupported", f"HEIC needs an extra: {extras.install('heic')}")
    if signed:
        raise next(reversed(signed.values()))
    raise PictureError("not-a-picture", "not a picture in any format that topfive reads")


def count_scans(data: bytes) -> int:
    """Count a JPEG's scans without decoding it; stops counting one above `MAX_SCANS`.

    Source: ITU-T T.81, annex B. Segments are stepped over by their length, so that a marker
    hidden in a comment counts neither as a scan nor as the end.
    """
    scans, position = 0, 2
    while scans <= MAX_SCANS and (found := _MARKER.search(data, position)):
        marker, position = data[found.end() - 1], found.end()
        if marker == _END:
            break
        if marker in (_START, 0x01):
            continue
        scans += marker == _SCAN
        position += max(2, int.from_bytes(data[position : position + 2], "big"))
    return scans


def _has_signature(data: bytes, name: str) -> bool:
    accept = Image.OPEN[name][1]
    # In place of True it may be a text that says what Pillow was built without.
    return accept is not None and accept(data[:16].ljust(16, b"\0")) is True


def _register_heif() -> None:
    with contextlib.suppress(ImportError):  # `open_picture` names the extra if it is missed
        import pi_heif

        pi_heif.register_heif_opener()


@functools.cache
def _quieten_libtiff() -> None:
    """Have libtiff not print on standard error what Pillow raises as an exception anyway.
    Pillow has no way to ask for it. Where libtiff is not a file of its own (Windows) they stay."""
    package = Path(PIL.__file__).parent
    for folder in (package.parent / "pillow.libs", package / ".dylibs"):
        for library in folder.glob("libtiff*"):
            ctypes.CDLL(str(library)).TIFFSetErrorHandler(None)
