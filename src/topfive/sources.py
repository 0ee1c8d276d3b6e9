"""What the user named, as a stream of sources: a name, and a way to get its content."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from topfive.errors import DownloadError, PictureError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.generic]

MAX_BYTES = 512 * 1024**2
STDIN = "-"


@dataclass(frozen=True)
class Source:
    """One input. `content` is a path, an http(s) address, `-`, bytes, a Pillow picture, an
    array, or the error that stands in its place."""

    name: str
    content: Any

    def read(self) -> Any:
        """Return the bytes, or the picture or the array that the source already is.

        Raises:
            PictureError: it is missing, unreadable, too large or could not be fetched.
        """
        if isinstance(self.content, PictureError):
            raise self.content
        if not isinstance(self.content, (str, os.PathLike)):
            return self.content
        text = os.fspath(self.content)
        if text == STDIN:
            return _capped(sys.stdin.buffer.read(MAX_BYTES + 1))
        return _download(text) if _is_url(text) else _read_file(Path(text))


def from_object(picture: Picture | Source) -> Source:
    """Return one picture in any form that the library takes as a source."""
    if isinstance(picture, Source):
        return picture
    if isinstance(picture, (str, os.PathLike)):
        return Source(os.fspath(picture), picture)
    if isinstance(picture, (bytes, bytearray, memoryview)):
        return Source("<bytes>", bytes(picture))
    name = getattr(picture, "filename", None) or f"<{type(picture).__name__}>"
    return Source(str(name), picture)


def read(arguments: Iterable[str], recursive: bool = False) -> Iterator[Source]:
    """Yield a source for every file, address and `-`, and for every file in a folder or
    behind a pattern, in the order of their names. Hidden files in folders are passed over.

    An argument that leads to nothing yields a source whose `read` says why.
    """
    for argument in arguments:
        if argument == STDIN or _is_url(argument):
            yield Source(argument, argument)
        elif os.path.isdir(argument):
            yield from _found(argument, _files(argument, recursive), recursive)
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            paths = sorted(glob.iglob(argument, recursive=True))
            yield from _found(argument, (p for p in paths if not os.path.isdir(p)), recursive)
        else:
            yield Source(argument, Path(argument))


def _found(argument: str, paths: Iterable[str], recursive: bool) -> Iterator[Source]:
    number = -1
    for number, path in enumerate(paths):
        yield Source(path, Path(path))
    if number < 0:
        hint = "" if recursive else "; --recursive looks into the folders inside"
        message = f"no file in this folder{hint}" if os.path.isdir(argument) else "no such file"
        yield Source(argument, PictureError("missing", message))


def _files(folder: str, recursive: bool) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield folder  # reading it as a file repeats the error as this source's failure
        del error
        return
    visible = [entry for entry in entries if not entry.name.startswith(".")]
    yield from (entry.path for entry in visible if not entry.is_dir())
    if recursive:
        for entry in visible:
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path, recursive)


def _read_file(path: Path) -> bytes:
    try:
        # A pipe or a device may never end; only "-" reads such.
        if path.exists() and not path.is_file() and not path.is_dir():
            raise PictureError("unreadable", "not a regular file")
        with path.open("rb") as file:
            return _capped(file.read(MAX_BYTES + 1))
    except FileNotFoundError as error:
        raise PictureError("missing", "no such file") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PictureError("unreadable", f"cannot be read: {reason}") from error


def _download(url: str) -> bytes:
    from topfive import downloads

    try:
        return downloads.read(url, MAX_BYTES)
    except DownloadError as error:
        raise PictureError("download", str(error)) from error


def _capped(data: bytes) -> bytes:
    if len(data) > MAX_BYTES:
        raise PictureError("too-large", f"over {MAX_BYTES:,} bytes")
    return data


def _is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))
