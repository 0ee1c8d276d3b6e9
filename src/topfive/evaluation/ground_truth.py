"""Pictures whose classes are known: by their folders, by their names, by a file beside them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

from topfive.errors import PictureError, UsageError
from topfive.evaluation import class_numbers, truth_files
from topfive.evaluation.truth_files import Entry, TruthFile
from topfive.networks.class_names import WNID, ClassNames, is_number
from topfive.networks.labels import Label
from topfive.sources import archives, arguments, buckets, lists
from topfive.sources.source import Source
from topfive.system.text import printable, spellings

Name = str | os.PathLike[str]

NO_CLASS = -1  # of what is no picture at all: a folder that cannot be read


@dataclass(frozen=True)
class GroundTruth:
    """The labelled pictures of a folder; iterating finds them anew, in order, each once.

    `layout` says in words where their classes stand. `truths` are the indices of the classes
    by the names of the sources, those of files that are missing included. `unlabelled` are
    files whose class nobody tells, `faults` names that cannot be looked into.
    """

    folder: str
    layout: str
    truths: Mapping[str, int]
    unlabelled: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @cached_property
    def classes(self) -> tuple[int, ...]:
        """The indices of the classes that occur, ascending."""
        return tuple(sorted(set(self.truths.values())))

    def __len__(self) -> int:
        return len(self.truths) + len(self.faults)

    def __iter__(self) -> Iterator[tuple[Source, int]]:
        """Yield each picture and the index of its class, `NO_CLASS` for a fault."""
        waiting = {**dict.fromkeys(self.faults, NO_CLASS), **self.truths}
        for source in _find(self.folder):
            if source.name in waiting:
                yield source, waiting.pop(source.name)
        for name, index in waiting.items():
            yield Source(name, PictureError("missing", "no such file")), index


@dataclass(frozen=True)
class Unlabelled:
    """The pictures of a folder whose classes nobody tells, for a `reason`; iterating finds them
    anew, in order, each with None."""

    folder: str
    reason: str

    def __iter__(self) -> Iterator[tuple[Source, None]]:
        for source in arguments.read([self.folder], recursive=True, unpack=True):
            yield source, None


def read_or_unlabelled(
    folder: Name,
    labels: Sequence[Label],
    truth: Name | None = None,
    numbers: str | None = None,
    class_column: str | None = None,
) -> GroundTruth | Unlabelled:
    """Return what `read` does, or the pictures without classes where there are none.

    Raises:
        UsageError: there is no such folder, or the truth file does not fit it.
    """
    name = os.fsdecode(folder)
    try:
        return read(name, labels, truth, numbers, class_column)
    except UsageError as error:
        asked = (truth, numbers, class_column) != (None, None, None)
        if asked or not arguments.is_container(name):
            raise
        return Unlabelled(name, str(error))


def read(
    folder: Name,
    labels: Sequence[Label],
    truth: Name | None = None,
    numbers: str | None = None,
    class_column: str | None = None,
) -> GroundTruth:
    """Return the labelled pictures in a folder, an archive or a bucket.

    A picture's class is the WordNet id in the name of a folder that it lies in, or the one that
    its own name begins with, or the name of a folder: a number or a label. With `truth` it is what
    that file says; see `truth_files.read`, also for the `class_column`. What numbers are is said
    by `numbers`, see `class_numbers.names_with`.

    Raises:
        UsageError: there is no labelled picture, a class or what its number means is unknown or
            ambiguous, or the truth file does not fit the folder.
    """
    name = os.fsdecode(folder)
    if not arguments.is_container(name):
        raise UsageError(f"{name}: expected a folder, an archive or a bucket with pictures")
    if lists.is_list(name):  # it would be read as a list of names
        name = f"./{name}"
    if truth is not None:
        file = Path(truth)
        return _by_file(name, file, truth_files.read(file, labels, numbers, class_column))
    if class_column is not None:
        raise UsageError("a column is one of a file with the classes; none is given")
    return _by_names(name, labels, numbers)


def _by_names(folder: str, labels: Sequence[Label], numbers: str | None) -> GroundTruth:
    classes = ClassNames(labels)
    truths: dict[str, int] = {}
    ways: dict[str, None] = {}
    faults: list[str] = []
    unlabelled: list[str] = []
    numbered: dict[str, str] = {}  # the numbers of pictures by their names
    found: dict[str, int | None] = {}  # the names of folders, of which there are few
    for source in _find(folder):
        *above, file = _relative(folder, source.name).split("/")
        above.reverse()
        index, way = _by_id(classes, above, file)
        last: str | None = None
        for part in above if index is None else ():
            if part not in found:
                found[part] = classes.find(part, folder)
            if (index := found[part]) is not None:
                last = part
                break
            # The highest number is one that counting from 0 does not reach.
            if is_number(part) and int(part) == len(labels):
                last = last or part
        if last and is_number(last) and not (numbers is None and classes.is_label(last)):
            truths[source.name] = NO_CLASS  # in its place until all numbers are known
            numbered[source.name] = last
            ways["numbers"] = None
        elif index is not None:
            truths[source.name] = index
            ways[way or "folders named by label"] = None
        elif isinstance(source.content, PictureError):
            faults.append(source.name)
        elif _is_picture(file) and (above or WNID.match(file)):
            unknown = above[0] if above else file[:9]
            classes.get(unknown, repr(source.name))  # raises the error that says so
        else:
            unlabelled.append(source.name)
    if numbers is not None and not numbered:
        raise UsageError(
            "what numbers are is asked of a file with the classes, or of folders named by number; "
            "none is given"
        )
    if not truths:
        raise UsageError(
            f"{folder}: no picture whose class is known; expected folders named by WordNet id, "
            "index or label, names that begin with a WordNet id, or a file with the classes "
            "(--truth)"
        )
    if numbered:
        bare, places = set(map(int, numbered.values())), [Path(folder), Path(folder).parent]
        known, told = class_numbers.names_with(labels, bare, numbers, folder, places)
        truths |= {name: known.get(one, repr(name)) for name, one in numbered.items()}
        ways = {f"folders named by {told}" if way == "numbers" else way: None for way in ways}
    return GroundTruth(folder, " and ".join(ways), truths, tuple(unlabelled), tuple(faults))


def _by_id(classes: ClassNames, above: list[str], file: str) -> tuple[int | None, str]:
    for part in above:
        if (index := classes.with_wnid(part)) is not None:
            return index, "folders named by WordNet id"
    index = classes.with_wnid(file) if WNID.match(file) else None
    return index, "" if index is None else "file names that begin with a WordNet id"


def _by_file(folder: str, file: Path, said: TruthFile) -> GroundTruth:
    entries = said.entries
    names = [one.name for one in _find(folder) if one.name != folder and not _is_file(one, file)]
    found = {_relative(folder, name): name for name in names}
    meant: Iterable[str]
    if entries[0].name is None:
        meant, way = _in_order(folder, file, found, entries)
    else:
        meant, way = _by_entries(folder, file, found, said), "by their names"
    truths: dict[str, int] = {}
    for name, entry in zip(meant, entries, strict=True):
        if truths.setdefault(name, entry.index) != entry.index:
            raise UsageError(
                f"{file}, line {entry.line}: {entry.name!r} has another class in a line before it"
            )
    there = set(found.values())
    if there.isdisjoint(truths):
        raise UsageError(
            f"{file}: none of the pictures that it names is in {folder}; the first is "
            f"{entries[0].name!r}"
        )
    unlabelled = tuple(name for name in found.values() if name not in truths)
    return GroundTruth(folder, f"{said.told}, {way}", truths, unlabelled)


def _in_order(
    folder: str, file: Path, found: Mapping[str, str], entries: Sequence[Entry]
) -> tuple[list[str], str]:
    """Return the pictures in the order of their names, with 2 before 10, and how that is called."""
    pictures = sorted(filter(_is_picture, found)) or sorted(found)
    if inside := next((name for name in pictures if "/" in name), None):
        raise UsageError(
            f"{file} has classes without names, so the pictures are expected in one folder; "
            f"received {inside!r} in {folder}"
        )
    if len(pictures) != len(entries):
        raise UsageError(
            f"{file} has {len(entries):,} classes without names, and {folder} has "
            f"{len(pictures):,} pictures; expected as many"
        )
    natural = sorted(pictures, key=_natural)
    small = sorted(natural, key=lambda name: _natural(name.casefold()))
    for one, other in zip(natural, small, strict=True):
        if one != other:
            raise UsageError(
                f"{file} has classes without names, and the pictures' names sort in two ways: "
                f"{one!r} or {other!r} first? Put the names beside the classes"
            )
    way = "a line a picture, in the order of their names"
    differing = ((one, other) for one, other in zip(natural, pictures, strict=True) if one != other)
    if pair := next(differing, None):
        way += f", {printable(pair[0])} before {printable(pair[1])}"
    return [found[name] for name in natural], way


def _natural(name: str) -> list[tuple[str, int, str]]:
    """Return what sorts names as text, but the numbers in them by their size."""
    parts = re.findall("[0-9]+|[^0-9]", name)
    bare = ((part, part.lstrip("0")) for part in parts)
    return [
        ("0", len(digits), digits) if part[0].isdigit() and part.isascii() else (part, 0, "")
        for part, digits in bare
    ]


def _by_entries(
    folder: str, file: Path, found: Mapping[str, str], said: TruthFile
) -> Iterator[str]:
    """Yield the source that each entry means, or the name that one would have.

    Raises:
        UsageError: a name leads out of the folder, or two columns name different pictures in it.
    """
    known: dict[str, str | None] = {}  # None where several files have it
    for name, there in found.items():
        stem = name.rpartition(".")[0]
        known[stem] = None if stem in known else there
    known |= found
    base, real = folder.rstrip(f"/{os.sep}"), cache(os.path.realpath)
    tables = [
        [_find_in(known, folder, name, real) for name in names]
        for names in zip(*((one.name or "", *one.others) for one in said.entries), strict=True)
    ]
    column = _choose(tables, file, said.columns)
    for entry, source in zip(said.entries, tables[column], strict=True):
        if source is not None:
            yield source
            continue
        written = (entry.name or "", *entry.others)[column]
        inside = map(PurePosixPath, _names_in(folder, written, real))
        if path := next((one for one in inside if _stays(one)), None):
            yield f"{base}/{path}"
        else:
            raise UsageError(
                f"{file}, line {entry.line}: {written!r} leads out of the folder; expected a "
                f"name in {folder}"
            )


def _find_in(
    known: Mapping[str, str | None], folder: str, name: str, real: Callable[[str], str]
) -> str | None:
    for spelling in spellings(name):
        for inside in _names_in(folder, spelling, real):
            path = PurePosixPath(inside)
            if _stays(path) and (source := known.get(str(path))):
                return source
    return None


def _names_in(folder: str, name: str, real: Callable[[str], str]) -> Iterator[str]:
    """Yield what a name may be in the folder: as it stands, as a path to the same folder that is
    written in another way, or written on Windows."""
    yield _relative(folder, name)
    if ".." in PurePosixPath(name).parts or not name or buckets.is_address(folder):
        return
    # Not by what links lead to: pictures may be links, and a table's paths were made with them.
    top, whole = os.path.abspath(folder), os.path.abspath(name)  # noqa: PTH100
    yield _relative(top, whole)
    above, last = os.path.split(whole)
    yield _relative(real(folder), f"{real(above)}/{last}")
    if "\\" in name:
        yield from _names_in(folder, name.replace("\\", "/"), real)


def _stays(path: PurePosixPath) -> bool:
    inside = not path.is_absolute() and not Path(path).is_absolute()
    return inside and ".." not in path.parts and bool(path.parts)


def _choose(tables: Sequence[Sequence[str | None]], file: Path, columns: Sequence[str]) -> int:
    """Return which column holds the pictures: the one that names most of those that are there."""
    best = max(range(len(tables)), key=lambda place: sum(one is not None for one in tables[place]))
    for place, table in enumerate(tables):
        pairs = zip(table, tables[best], strict=True)
        if any(one != other and None not in (one, other) for one, other in pairs):
            raise UsageError(
                f"{file}: its columns {columns[place]} and {columns[best]} name different "
                "pictures; leave one of them in the table"
            )
    return best


def _find(folder: str) -> Iterator[Source]:
    for source in arguments.read([folder], recursive=True, unpack=True):
        # As ImageNet's training pictures come: a tar for each class.
        if isinstance(source.content, Path) and archives.kind(source.name):
            yield from arguments.read([source.name], unpack=True)
        else:
            yield source


def _relative(folder: str, name: str) -> str:
    """Return a source's name as seen from the folder, with `/` between its parts."""
    base = folder.rstrip(f"/{os.sep}")
    if name.startswith((f"{base}/", f"{base}{os.sep}")):
        return name[len(base) :].replace(os.sep, "/").lstrip("/")
    return name.replace(os.sep, "/")


def _is_picture(name: str) -> bool:
    return name.lower().endswith(archives.PICTURES)


def _is_file(source: Source, file: Path) -> bool:
    return isinstance(source.content, Path) and source.content.absolute() == file.absolute()
