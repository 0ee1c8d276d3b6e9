"""What the user named, as a stream of sources: a name, and a way to get its content."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import BinaryIO, TypeVar

from topfive.errors import PictureError
from topfive.sources import archives, buckets, folders, lists
from topfive.sources.left_out import LeftOut
from topfive.sources.source import MAX_BYTES, STDIN, Source, is_url, unreadable
from topfive.system.text import hide_secrets

BUCKET = "bucket"
T = TypeVar("T")


def read(
    arguments: Iterable[str], recursive: bool = False, *, ordered: bool = True, unpack: bool = False
) -> Iterator[Source]:
    """Yield a source for every file, address and `-`, and for every file in a folder, in a
    bucket or behind a pattern, in the order of their names.

    A folder's own files come before those of the folders inside it. Hidden files are passed
    over; links to other folders and what systems lay beside pictures are left out, and the log
    says how many. An argument that leads to nothing yields a source
    whose `read` says why. With `unpack`, an archive's members come in its place, and
    `@names.txt` is a list of names, as `read_names` takes it. Unordered, a folder's files
    come as soon as they are seen. However many there are, memory stays flat.

    Raises:
        MissingExtraError: an address in a bucket, and the package for it is not installed.
        OutputError: no room on disk to sort the names in a large folder.
        UsageError: a list of names cannot be read.
    """
    left_out = LeftOut()
    for found in _find(arguments, recursive, ordered, unpack, left_out=left_out):
        yield from _open(found, recursive, left_out)
    left_out.tell()


def read_names(stream: BinaryIO, origin: str = "standard input") -> Iterator[Source]:
    """Yield a source for every name in a stream, each ended by a NUL, as they come.

    A name is taken as it is: a file's, an archive's, an http(s) address or an object's in a
    bucket; no pattern and no list. `origin` is what errors call the stream.

    Raises:
        MissingExtraError: see `read`.
        UsageError: the stream cannot be read or is no list of names.
    """
    for name in lists.names(stream, origin, nul=True):
        yield from _open(_name(name), False, LeftOut())


def count(arguments: Iterable[str], recursive: bool = False, *, unpack: bool = False) -> int | None:
    """Return how many sources `read` will yield, from names and archives' tables alone, or
    None where that takes as long as to read them: compressed archives, buckets.

    Raises: what `read` does.
    """
    total = 0
    left_out = LeftOut()
    for found in _find(arguments, recursive, False, unpack, False, left_out=left_out):
        if isinstance(found, _Many) and found.kind in ("compressed", BUCKET):
            return None
        total += sum(1 for _ in _open(found, recursive, left_out))
    return total


@dataclass(frozen=True)
class _Many:
    """A name that stands for several sources: of an archive's kind, or in a bucket."""

    name: str
    kind: str


def is_container(name: str) -> bool:
    """Whether a name is that of a folder, an archive or a place in a bucket."""
    return folders.is_folder(name) or buckets.is_address(name) or archives.kind(name) is not None


def _find(
    arguments: Iterable[str],
    recursive: bool,
    ordered: bool,
    unpack: bool,
    pictures: bool = True,
    *,
    left_out: LeftOut,
) -> Iterator[Source | _Many]:
    """Yield what the arguments stand for; without a look into `pictures`, see `own_output`."""
    look, arguments = _unpacked if unpack else _file, list(arguments)
    for argument in arguments if unpack else ():
        if lists.is_list(argument):
            lists.open_list(argument).close()  # not after hours with what comes before it
    for argument in arguments:
        if argument == STDIN or is_url(argument):
            yield Source(hide_secrets(argument), argument)
        elif buckets.is_address(argument):
            yield _Many(argument, BUCKET)
        elif unpack and lists.is_list(argument):
            with lists.open_list(argument) as file:
                listed = map(_name, lists.names(file, argument))
                yield from _or_missing(listed, argument, "no name in this list")
        elif folders.is_folder(argument):
            hint = "" if recursive else "; --recursive looks into the folders inside"
            files = map(_file, folders.walk(argument, recursive, ordered, pictures, left_out))
            yield from _or_missing(files, argument, f"no file in this folder{hint}")
        elif not os.path.lexists(argument) and glob.has_magic(argument):
            matches = map(look, folders.match(argument, ordered, pictures, left_out))
            yield from _or_missing(matches, argument, "no file has such a name")
        else:
            yield look(argument)


def _name(name: str) -> Source | _Many:
    if is_url(name):
        return Source(hide_secrets(name), name)
    if buckets.is_address(name):
        buckets.connect(name)  # what reads it is installed
        return Source(name, buckets.Object(name))
    return _unpacked(name)


def _unpacked(path: str) -> Source | _Many:
    kind = archives.kind(path)
    return _file(path) if kind is None else _Many(path, kind)


def _file(path: str | OSError) -> Source:
    if isinstance(path, OSError):
        return Source(str(path.filename), unreadable(path))
    return Source(path, Path(path) if path else path)


def _open(found: Source | _Many, recursive: bool, left_out: LeftOut) -> Iterator[Source]:
    if isinstance(found, Source):
        yield found
    elif found.kind == BUCKET:
        yield from starmap(Source, buckets.find(found.name, recursive, left_out))
    else:
        members = starmap(Source, archives.members(found.name, MAX_BYTES, left_out))
        yield from _or_missing(members, found.name, "no file in this archive")


def _or_missing(found: Iterator[T], name: str, message: str) -> Iterator[T | Source]:
    yield next(found, Source(name, PictureError("missing", message)))
    yield from found
