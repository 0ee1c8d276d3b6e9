"""Pictures whose classes are known: by their folders, by their names, by a file beside them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath

from topfive.errors import PictureError, UsageError
from topfive.evaluation import truth_files
from topfive.evaluation.truth_files import Entry
from topfive.networks.class_names import WNID, ClassNames, is_number
from topfive.networks.labels import Label
from topfive.sources import archives, arguments, lists
from topfive.sources.source import Source

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
    folder: str | os.PathLike[str],
    labels: Sequence[Label],
    truth: str | os.PathLike[str] | None = None,
    numbers: str | None = None,
) -> GroundTruth | Unlabelled:
    """Return what `read` does, or the pictures without classes where there are none.

    Raises:
        UsageError: there is no such folder, or the truth file does not fit it.
    """
    name = os.fsdecode(folder)
    try:
        return read(name, labels, truth, numbers)
    except UsageError as error:
        if truth is not None or numbers is not None or not arguments.is_container(name):
            raise
        return Unlabelled(name, str(error))


def read(
    folder: str | os.PathLike[str],
    labels: Sequence[Label],
    truth: str | os.PathLike[str] | None = None,
    numbers: str | None = None,
) -> GroundTruth:
    """Return the labelled pictures in a folder, an archive or a bucket.

    A picture's class is the WordNet id in the name of a folder that it lies in, or the one that
    its own name begins with, or the name of a folder: an index (0 to 999) or a label. With
    `truth` it is what that file says; see `truth_files.read`, also for `numbers`.

    Raises:
        UsageError: there is no labelled picture, a class is unknown or ambiguous, or the
            truth file does not fit the folder.
    """
    name = os.fsdecode(folder)
    if not arguments.is_container(name):
        raise UsageError(f"{name}: expected a folder, an archive or a bucket with pictures")
    if lists.is_list(name):  # it would be read as a list of names
        name = f"./{name}"
    if truth is not None:
        return _by_file(name, Path(truth), truth_files.read(Path(truth), labels, numbers))
    if numbers is not None:
        raise UsageError("what numbers are is asked of a file with the classes; none is given")
    return _by_names(name, ClassNames(labels))


def _by_names(folder: str, classes: ClassNames) -> GroundTruth:
    truths: dict[str, int] = {}
    ways: dict[str, None] = {}
    faults: list[str] = []
    unlabelled: list[str] = []
    known: dict[str, int | None] = {}  # the classes of folders' names
    for source in _find(folder):
        *above, file = _relative(folder, source.name).split("/")
        above.reverse()
        index, way = _by_id(classes, above, file)
        for part in above if index is None else ():
            if part not in known:
                known[part] = classes.find(part, folder)
            if (index := known[part]) is not None:
                way = f"folders named by {'index' if is_number(part) else 'label'}"
                break
        if index is not None:
            truths[source.name] = index
            ways[way] = None
        elif isinstance(source.content, PictureError):
            faults.append(source.name)
        elif _is_picture(file) and (above or WNID.match(file)):
            unknown = above[0] if above else file[:9]
            classes.get(unknown, repr(source.name))  # raises the error that says so
        else:
            unlabelled.append(source.name)
    if not truths:
        raise UsageError(
            f"{folder}: no picture whose class is known; expected folders named by WordNet id, "
            "index or label, names that begin with a WordNet id, or a file with the classes "
            "(--truth)"
        )
    return GroundTruth(folder, " and ".join(ways), truths, tuple(unlabelled), tuple(faults))


def _by_id(classes: ClassNames, above: list[str], file: str) -> tuple[int | None, str]:
    for part in above:
        if (index := classes.with_wnid(part)) is not None:
            return index, "folders named by WordNet id"
    index = classes.with_wnid(file) if WNID.match(file) else None
    return index, "file names that begin with a WordNet id"


def _by_file(folder: str, file: Path, entries: list[Entry]) -> GroundTruth:
    names = [one.name for one in _find(folder) if one.name != folder and not _is_file(one, file)]
    found = {_relative(folder, name): name for name in names}
    in_order = entries[0].name is None
    find = _in_order if in_order else _by_entries
    truths: dict[str, int] = {}
    for name, entry in zip(find(folder, file, found, entries), entries, strict=True):
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
    way = "a line a picture, in the order of their names" if in_order else "by their names"
    return GroundTruth(folder, f"{file.name}, {way}", truths, unlabelled)


def _in_order(
    folder: str, file: Path, found: Mapping[str, str], entries: Sequence[Entry]
) -> Iterator[str]:
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
    yield from (found[name] for name in pictures)


def _by_entries(
    folder: str, file: Path, found: Mapping[str, str], entries: Sequence[Entry]
) -> Iterator[str]:
    """Yield the source that each entry means, or the name that one would have."""
    stems: dict[str, str | None] = {}  # None where several files have it
    for name, source in found.items():
        stem = name.rpartition(".")[0]
        stems[stem] = None if stem in stems else source
    base = folder.rstrip(f"/{os.sep}")
    for entry in entries:
        name = _relative(folder, entry.name or "")
        path = PurePosixPath(name)
        if path.is_absolute() or Path(name).is_absolute() or ".." in path.parts or not path.parts:
            raise UsageError(
                f"{file}, line {entry.line}: {entry.name!r} leads out of the folder; expected a "
                f"name in {folder}"
            )
        yield found.get(str(path)) or stems.get(str(path)) or f"{base}/{path}"


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
    inside = name[len(base) :] if name.startswith((f"{base}/", f"{base}{os.sep}")) else name
    parted = inside.replace(os.sep, "/")
    return parted.lstrip("/") if inside is not name else parted


def _is_picture(name: str) -> bool:
    return name.lower().endswith(archives.PICTURES)


def _is_file(source: Source, file: Path) -> bool:
    return isinstance(source.content, Path) and source.content.absolute() == file.absolute()
