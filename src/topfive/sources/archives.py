"""The pictures in tar and zip archives, read where they stand: no folder is filled with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from topfive.sources import tars, zips
from topfive.sources.left_out import ICON, LeftOut
from topfive.sources.members import Member, ZipMember, to_picture_error, too_large
from topfive.sources.unpacking import COMPRESSIONS, START, TooMuchError, open_archive
from topfive.system.files import open_regular

__all__ = ["PICTURES", "Member", "ZipMember", "kind", "members", "too_large"]

# Not looked into: to open a file costs more than to name it.
PICTURES = tuple(".jpg .jpeg .png .webp .gif .bmp .tif .tiff .heic .avif .dcm .dicom".split())
TARS = (".tar.zst", ".tar.xz")
ZIPS = (b"PK\3\4", b"PK\5\6")


def kind(path: str) -> str | None:
    """Return `zip`, `tar` or `compressed` by a file's content, or None for any other.
    A file whose name ends like a picture's is none."""
    if is_picture(path):
        return None
    try:
        with open_regular(path) as file:
            start = file.read(START)
        if start.startswith(ZIPS):
            return "zip"
        if not start.startswith(tuple(COMPRESSIONS)):
            return "tar" if tars.is_tar(start) else None
        with open_archive(path) as file:
            return "compressed" if tars.is_tar(file.read(START)) else None
    except (ModuleNotFoundError, TooMuchError):  # nobody can look into it
        return "compressed" if path.lower().endswith((*TARS, ".tzst", ".txz")) else None
    except Exception:
        return None  # whoever reads it as a picture says what is wrong


def members(path: str, limit: int, left_out: LeftOut | None = None) -> Iterator[tuple[str, Any]]:
    """Yield the name and the content of each visible file in an archive, in its order.

    The content has a `read`, or is the bytes, or the `PictureError` that stands in their
    place; none has more than `limit` bytes. A link is the file in the archive that it leads to.
    What is left out is counted: links to others, devices, what systems lay beside pictures, what
    stands in a tar beside a picture of the same key. Where the archive is broken it ends with an
    error under its own name.
    """
    left_out = LeftOut() if left_out is None else left_out
    try:
        form = kind(path)
        if form == "zip":
            found = zips.find(path, limit, left_out)
        else:
            found = tars.find(path, limit, form == "compressed", is_picture, left_out)
        for name, content in found:
            parts = {*name.split("/")} - {".", ".."}
            # A folder's icon lies beside pictures where the folder stands; here it has its row.
            system = any(left_out.is_system(part) for part in parts - {ICON})
            if not system and not any(part.startswith(".") for part in parts):
                yield f"{path}/{name.removeprefix('./')}", content
    except Exception as error:
        yield path, to_picture_error(error)


def is_picture(name: str) -> bool:
    """Whether a name ends like a picture's."""
    return name.lower().endswith(PICTURES)
