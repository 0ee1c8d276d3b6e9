"""What the user named, as a stream of sources: a name, and a way to get its content."""

from __future__ import annotations

import glob
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from topfive import archives, buckets, folders, lists
from topfive.errors import DownloadError, PictureError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    Picture = str | os.PathLike[str] | bytes | Image.Image | NDArray[np.generic]

MAX_BYTES = 512 * 1024**2
MAX_PIXELS = 100_000_000
STDIN = "-"
BUCKET = "bucket"
T = TypeVar("T")


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


def read(
    arguments: Iterable[str], recursive: bool = False, *, ordered: bool = True, unpack: bool = False
) -> Iterator[Source]:
    """Yield a source for every file, address and `-`, and for every file in a folder, in a
    bucket or behind a pattern, in the order of their names.

    A folder's own files come before those of the folders inside it. Hidden files and links
    to other folders are passed over. An argument that leads to nothing yields a source
    whose `read` says why. With `unpack`, an archive's members come in its place, and
    `@names.txt` is a list of names, as `read_names` takes it. Unordered, a folder's files
    come as soon as they are seen. However many there are, memory stays flat.

    Raises:
        MissingExtraError: an address in a bucket, and the package for it is not installed.
        OutputError: no room on disk to sort the names in a large folder.
        UsageError: a list of names cannot be read.
    """
    for found in _find(arguments, recursive, ordered, unpack):
        yield from _open(found, recursive)


def read_names(stream: BinaryIO, origin: str = "standard input") -> Iterator[Source]:
    """Yield a source for every name in a stream, each ended by a NUL, as they come.

    A name is taken as it is: a file's, an archive's, an http(s) address or an object's in a
    bucket; no pattern and no list. `origin` is what errors call the stream.

    Raises:
        MissingExtraError: see `read`.
        UsageError: the stream cannot be read or is no list of names.
    """
    for name in lists.names(stream, origin, nul=True):
        yield from _open(_name(name), False)


def count(arguments: Iterable[str], recursive: bool = False, *, unpack: bool = False) -> int | None:
    """Return how many sources `read` will yield, from names and archives' tables alone, or
    None where that takes as long as to read them: compressed archives, buckets.

    Raises: what `read` does.
    """
    total = 0
    for found in _find(arguments, recursive, False, unpack):
        if isinstance(found, _Many) and found.kind in ("compressed", BUCKET):
            return None
        total += sum(1 for _ in _open(found, recursive))
    return total


@dataclass(frozen=True)
class _Many:
    """A name that stands for several sources: of an archive's kind, or in a bucket."""

    name: str
    kind: str


def _find(
    arguments: Iterable[str], recursive: bool, ordered: bool, unpack: bool
) -> Iterator[Source | _Many]:
    look, arguments = _unpacked if unpack else _file, list(arguments)
    for argument in arguments if unpack else ():
        if lists.is_list(argument):
            lists.open_list(argument).close()  # not after hours with what comes before it
    for argument in arguments:
        if argument == STDIN or is_url(argument):
            yield Source(argument, argument)
        elif buckets.is_address(argument):
            yield _Many(argument, BUCKET)
        elif unpack and lists.is_list(argument):
            with lists.open_list(argument) as file:
                listed = map(_name, lists.names(file, argument))
                yield from _or_missing(listed, argument, "no name in this list")
        elif folders.is_folder(argument):
            hint = "" if recursive else "; --recursive looks into the folders inside"
            files = map(_file, folders.walk(argument, recursive, ordered))
            yield from _or_missing(files, argument, f"no file in this folder{hint}")
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            matches = map(look, folders.match(argument, ordered))
            yield from _or_missing(matches, argument, "no file has such a name")
        else:
            yield look(argument)


def _name(name: str) -> Source | _Many:
    if is_url(name):
        return Source(name, name)
    if buckets.is_address(name):
        buckets.check(name)
        return Source(name, buckets.Object(name))
    return _unpacked(name)


def _unpacked(path: str) -> Source | _Many:
    kind = archives.kind(path)
    return _file(path) if kind is None else _Many(path, kind)


def _file(path: str | OSError) -> Source:
    if isinstance(path, OSError):
        return Source(str(path.filename), _unreadable(path))
    return Source(path, Path(path) if path else path)


def _open(found: Source | _Many, recursive: bool) -> Iterator[Source]:
    if isinstance(found, Source):
        yield found
    elif found.kind == BUCKET:
        yield from starmap(Source, buckets.find(found.name, recursive))
    else:
        members = starmap(Source, archives.members(found.name, MAX_BYTES))
        yield from _or_missing(members, found.name, "no file in this archive")


def _or_missing(found: Iterator[T], name: str, message: str) -> Iterator[T | Source]:
    yield next(found, Source(name, PictureError("missing", message)))
    yield from found


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


def is_url(text: str) -> bool:
    return text.lower().startswith(("http://", "https://"))
