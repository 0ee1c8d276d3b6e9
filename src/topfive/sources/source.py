"""One input: a name, and a way to get its content."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from topfive.errors import DownloadError, PictureError
from topfive.sources import archives, buckets
from topfive.sources.archives import too_large
from topfive.sources.spool import Spool
from topfive.system import files
from topfive.system.text import hide_secrets

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from topfive.system.memory import Claim

    Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.generic]

MAX_BYTES = 512 * 1024**2
MAX_PIXELS = 100_000_000
SECONDS = 60  # for all of a transfer
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One input: `content` is text (an http(s) address, one in a bucket, `-` or a file's name), a
    path (always a file's), an archive's member, an object in a bucket, bytes, a Pillow picture,
    an array, or the error that stands in its place."""

    name: str
    content: Any

    def read(self, claim: Claim | None = None, timeout: float = SECONDS) -> Any:
        """Return the bytes, or the picture or the array that the source already is. The bytes
        are claimed before they are read; an address is given up after `timeout` seconds.

        Raises:
            PictureError: it is missing, unreadable, too large or could not be fetched.
        """
        content, take = self.content, claim.take_for_reading if claim else _take_nothing
        if isinstance(content, PictureError):
            # A new one: an error that is raised twice drags its first traceback along.
            raise PictureError(content.kind, str(content))
        if isinstance(content, str) and (content == STDIN or is_url(content)):
            content = _fetch(content, timeout)
        if isinstance(content, (archives.Member, Spool)):
            take(content.size)
            return content.read()
        if isinstance(content, str) and buckets.is_address(content):
            content = buckets.Object(content)
        if isinstance(content, buckets.Object):
            content = content.measure(MAX_BYTES)
            take(content.size or 0)
            return content.read(MAX_BYTES)
        return _read_file(content, take) if isinstance(content, (str, os.PathLike)) else content

    def hold(self, timeout: float = SECONDS) -> Source:
        """Return it with what cannot be read twice in it, or the error."""
        try:
            if isinstance(self.content, str) and (self.content == STDIN or is_url(self.content)):
                return replace(self, content=_fetch(self.content, timeout))
        except PictureError as error:
            return replace(self, content=error)
        return self


def from_object(picture: Picture | Source) -> Source:
    """Return one picture in any form that the library takes as a source."""
    if isinstance(picture, Source):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        text = os.fsdecode(picture)
        return Source(hide_secrets(text) if is_url(text) else text, picture)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return Source("<bytes>", bytes(picture))
    name = getattr(picture, "filename", None)
    return Source(os.fsdecode(name) if name else f"<{type(picture).__name__}>", picture)


def _take_nothing(_: int) -> None:
    """Claim nothing: one picture alone is asked for."""


def _fetch(content: str, timeout: float) -> Spool:
    """Return what stands behind `-` or an address."""
    from topfive.system import downloads

    spool = Spool()
    try:
        if content != STDIN:
            downloads.read(content, spool, MAX_BYTES, timeout)
            return spool
        if sys.stdin is None:
            raise PictureError("unreadable", "standard input is closed")
        spool.fill(sys.stdin.buffer, MAX_BYTES + 1)
    except DownloadError as error:
        raise PictureError("download", " ".join(str(error).split())) from error
    except (OSError, ValueError) as error:
        raise unreadable(error) from error
    if spool.size > MAX_BYTES:
        raise too_large(MAX_BYTES)
    return spool


def _read_file(path: str | os.PathLike[str], take: Callable[[int], None]) -> bytes:
    if path == "":
        raise PictureError("missing", "the name is empty")
    try:
        with files.open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise too_large(MAX_BYTES)
            take(size)
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise too_large(MAX_BYTES)
        return data
    except FileNotFoundError as error:
        raise PictureError("missing", "no such file") from error
    except IsADirectoryError as error:
        raise PictureError("unreadable", "a folder; expected a file") from error
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.EINVAL:
            raise PictureError(
                "unreadable", f"{error.strerror} (- reads standard input)"
            ) from error
        raise unreadable(error) from error


def unreadable(error: OSError | ValueError) -> PictureError:
    """Return the error that says why a file, or a list of names, cannot be read."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return PictureError("unreadable", f"cannot be read: {reason}")


def is_url(text: str) -> bool:
    """Whether the text is an address on the web."""
    return text.lower().startswith(("http://", "https://"))
