"""What the user named, as a stream of sources: a name, and a way to get its content."""

from __future__ import annotations

import glob
import os
import stat
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
MAX_PIXELS = 100_000_000
STDIN = "-"
ANY_DEPTH = "**"


@dataclass(frozen=True)
class Source:
    """One input.

    `content` is text (an http(s) address, `-` or a file's name), a path (always a file's),
    bytes, a Pillow picture, an array, or the error that stands in its place.
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
        if isinstance(content, str) and content == STDIN:
            return _read_stdin()
        if isinstance(content, str) and _is_url(content):
            return _download(content)
        return _read_file(content) if isinstance(content, (str, os.PathLike)) else content


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


def read(arguments: Iterable[str], recursive: bool = False) -> Iterator[Source]:
    """Yield a source for every file, address and `-`, and for every file in a folder or
    behind a pattern, in the order of their names.

    A folder's own files come before those of the folders inside it. Hidden files and links
    to other folders are passed over. An argument that leads to nothing yields a source
    whose `read` says why.
    """
    for argument in arguments:
        if argument == STDIN or _is_url(argument):
            yield Source(argument, argument)
        elif _is_folder(argument):
            hint = "" if recursive else "; --recursive looks into the folders inside"
            yield from _or_missing(
                _files(argument, recursive), argument, f"no file in this folder{hint}"
            )
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            paths = sorted({*_matches(Path(argument).parts)})
            found = (Source(path, Path(path)) for path in paths if not _is_folder(path))
            yield from _or_missing(found, argument, "no file has such a name")
        else:
            yield Source(argument, Path(argument) if argument else argument)


def _or_missing(sources: Iterator[Source], name: str, message: str) -> Iterator[Source]:
    first = next(sources, Source(name, PictureError("missing", message)))
    yield first
    yield from sources


def _files(folder: str, recursive: bool) -> Iterator[Source]:
    try:
        with os.scandir(folder) as entries:
            paths = sorted(entry.path for entry in entries if not entry.name.startswith("."))
    except OSError as error:
        yield Source(folder, _unreadable(error))
        return
    folders = {path: Path(path) for path in paths if _is_folder(path)}
    yield from (Source(path, Path(path)) for path in paths if path not in folders)
    for name, path in folders.items():
        if recursive and not path.is_symlink():  # it may lead back to where it stands
            yield from _files(name, recursive)


def _matches(parts: tuple[str, ...]) -> Iterator[str]:
    """Yield what `glob` finds for a pattern's parts; behind `**` it would follow links to
    folders, and so run in circles."""
    if ANY_DEPTH not in parts:
        yield from glob.iglob(str(Path(*parts)))
        return
    place = parts.index(ANY_DEPTH)
    tail = parts[place + 1 :] or ("*",)
    for base in glob.iglob(str(Path(*parts[:place]))):
        for folder, inside, _ in os.walk(base):
            inside[:] = [name for name in inside if not name.startswith(".")]
            yield from _matches((glob.escape(folder), *tail))


def _is_folder(path: str) -> bool:
    return os.path.isdir(path)  # noqa: PTH112  Path's raises where a name is too long


def _read_stdin() -> bytes:
    if sys.stdin is None:
        raise PictureError("unreadable", "standard input is closed")
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error
    if len(data) > MAX_BYTES:
        raise _too_large()
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
            raise _too_large()
        return path.read_bytes()
    except FileNotFoundError as error:
        raise PictureError("missing", "no such file") from error
    except (OSError, ValueError) as error:
        raise _unreadable(error) from error


def _download(url: str) -> bytes:
    from topfive import downloads

    try:
        return downloads.read(url, MAX_BYTES)
    except DownloadError as error:
        raise PictureError("download", " ".join(str(error).split())) from error


def _unreadable(error: OSError | ValueError) -> PictureError:
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())
    return PictureError("unreadable", f"cannot be read: {reason}")


def _too_large() -> PictureError:
    return PictureError("too-large", f"over the limit of {MAX_BYTES:,} bytes")


def _is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))
