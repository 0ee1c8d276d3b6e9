"""A folder of pictures with a folder for each class, and which of them are held out."""

from __future__ import annotations

import math
import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.networks.taught_cards import check_classes
from topfive.sources import folders
from topfive.sources.left_out import LeftOut
from topfive.sources.source import Source, unreadable
from topfive.system.text import listing

FEW = 10  # pictures of a class
UNEVEN = 5  # times as many pictures of one class as of another
PARTS = {"train", "training", "val", "valid", "validation", "test", "testing"}


@dataclass(frozen=True)
class ClassFolder:
    """The pictures of a folder, each with the index of its class, sorted by their names.

    `classes` are the names of the folders in it that hold files, sorted; what lies deeper in
    one counts to that class. A letter and its accent are one sign in them, so that a name in two
    forms of Unicode is one class. `unlabelled` are the files beside them, `empty` the names of the
    folders without a file.
    """

    folder: str
    classes: tuple[str, ...]
    pictures: tuple[tuple[Source, int], ...]
    unlabelled: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


def read(folder: str | os.PathLike[str], least: int = 2) -> ClassFolder:
    """Return the pictures in a folder with a folder for each class.

    Hidden files and folders are passed over; links to folders inside a class and what systems
    lay beside pictures are left out, and the log says how many.

    Raises:
        UsageError: there is no such folder, it cannot be read, it holds fewer than `least`
            classes, or a name cannot be a class's.
    """
    top = Path(folder)
    try:
        with os.scandir(top) as entries:
            seen = sorted((one.name, folders.is_folder(one.path)) for one in entries)
    except OSError as error:
        raise UsageError(
            f"{top}: expected a folder with a folder for each class: {error.strerror}"
        ) from error
    left_out = LeftOut()
    seen = [(name, is_folder) for name, is_folder in seen if not left_out.is_system(name)]
    shown = [(name, is_folder) for name, is_folder in seen if not name.startswith(".")]
    found: dict[str, list[Source]] = {}
    for name, is_folder in shown:
        if is_folder:
            known = unicodedata.normalize("NFC", name)
            found[known] = found.get(known, []) + _sources(top / name, left_out)
    left_out.tell()
    found = dict(sorted(found.items()))
    classes = tuple(name for name, held in found.items() if held)
    empty = tuple(name for name, held in found.items() if not held)
    if len(classes) < least:
        raise UsageError(
            f"{top}: expected {least} or more folders with pictures, one for each class; "
            f"found {_told(classes)}" + (f", and without any file {_told(empty)}" if empty else "")
        )
    try:
        check_classes(classes)
    except UsageError as error:
        raise UsageError(f"{top}: {error}; rename the folder") from error
    pictures = [(source, number) for number, name in enumerate(classes) for source in found[name]]
    unlabelled = tuple(str(top / name) for name, is_folder in shown if not is_folder)
    return ClassFolder(str(top), classes, tuple(pictures), unlabelled, empty)


def split(
    truths: Sequence[int] | NDArray[np.intp],
    share: float,
    seed: int,
    groups: NDArray[np.intp] | None = None,
) -> NDArray[np.bool_]:
    """Return which of the pictures (n,) are held out, the same for the same seed: a `share` (0 to
    1) of each class, of a class that has two or more at least one and not all. Pictures of one of
    the `groups` (n,) stay together, so that it may be less, or none of a class that is one group.

    Raises:
        UsageError: the share is not from 0 to below 1, or the seed is negative.
    """
    if not 0 <= share < 1:
        raise UsageError(f"the share that is held out must be 0 or more and under 1; got {share}")
    if seed < 0:
        raise UsageError(f"a seed is 0 or more; received {seed}")
    known = np.asarray(truths, np.intp)
    held = np.zeros(len(known), np.bool_)
    for truth in np.unique(known) if share else ():
        places = np.flatnonzero(known == truth)
        count = min(max(1, math.floor(share * len(places) + 0.5)), len(places) - 1)
        # Each class has numbers of its own: more pictures of one leave the others' as they are.
        random = np.random.default_rng([seed, int(truth) + 1])
        mixed = random.permutation(places)
        if groups is None:
            held[mixed[:count]] = True
        else:
            _hold_groups(held, mixed, count, groups, known)
    return held


def _hold_groups(
    held: NDArray[np.bool_],
    mixed: NDArray[np.intp],
    count: int,
    groups: NDArray[np.intp],
    truths: NDArray[np.intp],
) -> None:
    """Hold the first groups of a class that `count` has room for, or its smallest one."""
    _, truths = np.unique(truths, return_inverse=True)
    left = np.bincount(truths[~held], minlength=truths.max() + 1)
    inside = groups[mixed]
    sizes = dict(zip(*np.unique(inside, return_counts=True), strict=True))
    order = list(dict.fromkeys(inside.tolist()))
    done = int(held[mixed].sum())
    for only_fitting in (True, False):
        for one in order if only_fitting else sorted(order, key=lambda name: sizes[name]):
            if done >= count or (done and done + sizes[one] > count):
                continue
            if only_fitting and sizes[one] > count:
                continue
            members = np.flatnonzero((groups == one) & ~held)
            lost = np.bincount(truths[members], minlength=len(left))
            if len(members) and (left[lost > 0] > lost[lost > 0]).all():
                held[members] = True
                left -= lost
                done += int(sizes[one])


def _sources(folder: Path, left_out: LeftOut) -> list[Source]:
    return [
        Source(str(path.filename), unreadable(path))
        if isinstance(path, OSError)
        else Source(path, Path(path))
        for path in folders.walk(str(folder), recursive=True, left_out=left_out)
    ]


def _told(names: Sequence[str]) -> str:
    return ", ".join(f"{name!a}" for name in names[:5]) + ", …" * (len(names) > 5) or "none"


def odd_counts(
    classes: Sequence[str], counts: NDArray[np.intp], what: str = "pictures"
) -> Iterator[str]:
    """Yield what is odd about how many pictures the classes have; `what` these are."""
    few = [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < FEW]
    if few:
        yield f"under {FEW} {what} of {listing(few)}; more would make it better"
    if len(counts) and counts.max() > UNEVEN * counts.min():
        most, least = int(counts.argmax()), int(counts.argmin())
        yield (
            f"{counts[most]:,} pictures of {classes[most]} and {counts[least]:,} of "
            f"{classes[least]}: all classes count the same, whatever their number of pictures"
        )


def odd_classes(found: ClassFolder, apart: ClassFolder | None) -> list[str]:
    """Return what is odd about the names of the classes, and of those of a validation.

    Raises:
        UsageError: the validation has others.
    """
    notes = []
    if set(map(str.lower, found.classes)) <= PARTS:
        first = Path(found.folder) / found.classes[0]
        notes.append(f"the classes are {listing(found.classes)}: is {first} the folder of classes?")
    if apart is not None:
        if other := [name for name in apart.classes if name not in found.classes]:
            wrong = listing(other)
            raise UsageError(f"{apart.folder} holds classes that {found.folder} has not: {wrong}")
        if missing := [name for name in found.classes if name not in apart.classes]:
            notes.append(f"{apart.folder} holds no pictures of {listing(missing)}")
    return notes
