"""One input: a name, and a way to get its content."""

from __future__ import annotations

import os
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topfive.errors import DownloadError, PictureError
from topfive.sources import archives, buckets
from topfive.sources.archives import too_large

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.generic]

MAX_BYTES = 512 * 1024**2
MAX_PIXELS = 100_000_000
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One input.

    `content` is text (an http(s) address, one in a bucket, `-` or a file's name), a path
    (always a file's), an archive's member, an object in a bucket, bytes, a Pillow picture,
    an array, or the error that stands in its place.
    """

    name: str
    content: Any

    def read(self) -> Any:
        """Return the bytes, or the picture or the array that the source already is.

        Raises:
            PictureError: it is missing, unreadable, too large or could not be fetched.
        """
        content = self.content
        if isinstance(content, PictureError):
            # A new one: an error that is raised twice drags its first traceback along.
            raise PictureError(content.kind, str(content))
        if isinstance(content, archives.Member):
            return content.read()
        if isinstance(content, str) and buckets.is_address(content):
            content = buckets.Object(content)
        if isinstance(content, buckets.Object):
            return content.read(MAX_BYTES)
        if isinstance(content, str) and content == STDIN:
            return _read_stdin()
        if isinstance(content, str) and is_url(content):
            return _download(content)
        return _read_file(content) if isinstance(content, (str, os.PathLike)) else content

    def hold(self) -> Source:
        """Return it with what was read in it, or the error: a pipe cannot be read twice."""
        try:
            return replace(self, content=self.read())
        except PictureError as error:
            return replace(self, content=error)


def from_object(picture: Picture | Source) -> Source:
    """Return one picture in any form that the library takes as a source."""
    if isinstance(picture, Source):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        return Source(os.fsdecode(picture), picture)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return Source("<bytes>", bytes(picture))
    name = getattr(picture, "filename", None)
    return Source(os.fsdecode(name) if name else f"<{type(picture).__name__}>", picture)


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise PictureError("unreadable", "standard input is closed")
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise unreadable(error) from error
    if len(data) > MAX_BYTES:
        raise too_large(MAX_BYTES)
    return data


def _read_file(path: str | os.PathLike[str]) -> bytes:
    if path == "":
        raise PictureError("missing", "the name is empty")
    path = Path(path)
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            raise PictureError("unreadable", "a folder; expected a file")
        # A pipe or a device may never end.
        if not stat.S_ISREG(status.st_mode):
            raise PictureError("unreadable", "not a regular file (- reads standard input)")
        if status.st_size > MAX_BYTES:
            raise too_large(MAX_BYTES)
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PictureError("missing", "no such file") from error
    except (OSError, ValueError) as error:
        raise unreadable(error) from error


def _download(url: str) -> bytes:
    from topfive.system import downloads

    try:
        return downloads.read(url, MAX_BYTES)
    except DownloadError as error:
        raise PictureError("download", " ".join(str(error).split())) from error


def unreadable(error: OSError | ValueError) -> PictureError:
    """Return the error that says why a file, or a list of names, cannot be read."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return PictureError("unreadable", f"cannot be read: {reason}")


def is_url(text: str) -> bool:
    """Whether the text is an address on the web."""
    return text.lower().startswith(("http://", "https://"))
