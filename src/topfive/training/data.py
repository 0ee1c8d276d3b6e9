"""The pictures of a training: which can be used, which are held out, their squares."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from topfive.classification import pipeline
from topfive.errors import UsageError
from topfive.evaluation import near_copies
from topfive.networks.cards import Recipe
from topfive.pictures import preparation
from topfive.pictures.preparation import Prepared
from topfive.sources.source import Source
from topfive.system.text import listing, printable
from topfive.teaching import class_folders
from topfive.training.messages import Folders

MEMORY = 2 << 30  # bytes of squares that are kept; for a moment twice that


@dataclass(frozen=True)
class Preparation:
    """How a source becomes a square of `size` pixels."""

    size: int
    recipe: Recipe
    max_pixels: int

    def __call__(self, source: Source) -> Prepared:
        return preparation.prepare(source, self.size, self.recipe, self.max_pixels)


@dataclass(frozen=True)
class Pictures:
    """Pictures in the order of their names: their classes (n,), their hashes, and the squares,
    uint8 (n, size, size, 3), where there is memory for all."""

    sources: tuple[Source, ...]
    truths: NDArray[np.intp]
    hashes: tuple[str, ...]
    squares: NDArray[np.uint8] | None
    prepare: Callable[[Source], Prepared]

    def __len__(self) -> int:
        return len(self.sources)

    def some(self, places: NDArray[np.intp]) -> Pictures:
        """Return those at some places."""
        return replace(
            self,
            sources=tuple(self.sources[place] for place in places),
            truths=self.truths[places],
            hashes=tuple(self.hashes[place] for place in places),
            squares=None if self.squares is None else self.squares[places],
        )

    def batches(
        self, order: Sequence[int] | NDArray[np.intp], size: int
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.uint8]]]:
        """Yield the indices in an order, up to `size` at a time, with their squares.

        Raises:
            UsageError: a picture is not what it was.
        """
        places = np.asarray(order, np.intp)
        parts = [places[start : start + size] for start in range(0, len(places), size)]
        if self.squares is not None:
            yield from ((part, self.squares[part]) for part in parts)
            return
        again = _prepared((self.sources[place] for place in places), self.prepare)
        for part in parts:
            yield part, np.stack([self._unchanged(place, next(again)) for place in part])

    def _unchanged(self, place: int, found: Prepared) -> NDArray[np.uint8]:
        square = found.square
        if not isinstance(square, np.ndarray) or found.sha256 != self.hashes[place]:
            raise UsageError(
                f"{printable(found.source.name)} changed or went away while it was learned from; "
                "with the pictures as they were the same command goes on"
            )
        return square


@dataclass(frozen=True)
class Data:
    """The pictures to learn from and those that are held out; how many could not be read, and
    how many are copies and were left out."""

    classes: tuple[str, ...]
    learned: Pictures
    held_out: Pictures
    unreadable: int
    copies: int

    def digest(self) -> str:
        """Return what names the contents of the pictures, their classes and their parts."""
        parts = self.learned, self.held_out
        facts = [
            (self.classes, *zip(one.hashes, one.truths.tolist(), strict=True)) for one in parts
        ]
        return hashlib.sha256(repr(facts).encode()).hexdigest()


def read(folders: Folders, seed: int, prepare: Preparation, warn: Callable[[str], None]) -> Data:
    """Return the pictures of a folder with a folder a class, and which are held out: those of
    another such folder, the validation, or a share of each class.

    Pictures that cannot be read, that occur in two classes, again in one, or among those held
    out are left out, and `warn` hears of them.

    Raises:
        UsageError: there are no classes, a class has no pictures to learn from, or none is held
            out.
    """
    known = class_folders.read(folders.pictures)
    held = class_folders.read(folders.validation, least=1) if folders.validation else None
    for text in class_folders.odd_classes(known, held):
        warn(text)
    if known.empty:
        warn(f"folders without a file, left out: {listing(known.empty)}")
    if known.unlabelled:
        warn(f"files beside the classes' folders, left out: {listing(known.unlabelled)}")
    listed = [*known.pictures]
    if held:
        places = [known.classes.index(name) for name in held.classes]
        listed += [(source, places[truth]) for source, truth in held.pictures]
    every, thumbnails = _read(listed, prepare, warn)
    own = np.arange(len(every)) < len(known.pictures)
    usable = _usable(every, own, warn)
    out = ~own
    groups = near_copies.group(thumbnails[usable])
    if held:
        near = np.isin(groups, groups[out[usable]]) & own[usable]
        if left := int(near.sum()):
            warn(f"{left:,} pictures are near-copies of some that are held out: not learned from")
        usable[usable] = ~near
    else:
        if left := near_copies.count_copies(groups):
            warn(f"{left:,} pictures are {near_copies.TOGETHER}")
        out[usable] = class_folders.split(every.truths[usable], folders.split, seed, groups)
    learned, apart = (every.some(np.flatnonzero(usable & part)) for part in (~out, out))
    unreadable = every.hashes.count("")
    copies = len(every) - int(usable.sum()) - unreadable
    data = Data(known.classes, learned, apart, unreadable, copies)
    _check(data, warn)
    return data


def _prepared(
    sources: Iterable[Source], prepare: Callable[[Source], Prepared]
) -> Iterator[Prepared]:
    """Yield sources that were read, in their order, some read ahead in threads."""
    found = pipeline.stream(sources, prepare, lambda some: some, parallel=1, batch=1)
    return (one for _, one in found)


def _read(
    listed: Sequence[tuple[Source, int]], prepare: Preparation, warn: Callable[[str], None]
) -> tuple[Pictures, NDArray[np.uint8]]:
    """Return all pictures with their classes, and thumbnails to find near-copies by; those that
    cannot be read have an empty hash."""
    sources, truths = zip(*listed, strict=True)
    shape = (len(sources), prepare.size, prepare.size, 3)
    squares = np.zeros(shape, np.uint8) if math.prod(shape) <= MEMORY else None
    hashes: list[str] = []
    thumbnails = np.zeros((len(sources), near_copies.SIDE, near_copies.SIDE), np.uint8)
    for place, found in enumerate(_prepared(sources, prepare)):
        square = found.square
        if isinstance(square, np.ndarray):
            thumbnails[place] = near_copies.shrink(square)
            if squares is not None:
                squares[place] = square
        else:
            warn(f"{found.source.name} is left out: {square}")
        hashes.append(found.sha256 or "" if isinstance(square, np.ndarray) else "")
    known = np.array(truths, np.intp)
    return Pictures(sources, known, tuple(hashes), squares, prepare), thumbnails


def _usable(
    pictures: Pictures, own: NDArray[np.bool_], warn: Callable[[str], None]
) -> NDArray[np.bool_]:
    """Return which pictures are used: those that can be read, of equal ones in several classes
    none, of other equal ones the first, and one that is held out rather than one of the `own`."""
    names = [source.name for source in pictures.sources]
    places: dict[str, list[int]] = defaultdict(list)
    for place, sha256 in enumerate(pictures.hashes):
        if sha256:
            places[sha256].append(place)
    usable = np.zeros(len(names), np.bool_)
    across: list[str] = []
    copies: list[str] = []
    apart: list[str] = []
    for same in places.values():
        if len({*pictures.truths[same]}) > 1:
            across.append(" = ".join(names[place] for place in same))
            continue
        first = next((place for place in same if not own[place]), same[0])
        usable[first] = True
        for place in same:
            if place != first:
                (apart if own[place] and not own[first] else copies).append(names[place])
    for some, text in (
        (across, "in several classes at once, left out"),
        (copies, f"{len(copies):,} copies of other pictures, left out"),
        (apart, f"{len(apart):,} pictures that are held out, too, are not learned from"),
    ):
        if some:
            warn(f"{text}: {listing(some)}")
    return usable


def _check(data: Data, warn: Callable[[str], None]) -> None:
    """Warn of classes with few pictures; refuse those with none, and if none is held out."""
    counts = np.bincount(data.learned.truths, minlength=len(data.classes))
    if none := [data.classes[place] for place in np.flatnonzero(counts == 0)]:
        raise UsageError(f"no picture is left to learn from of {printable(listing(none))}")
    if not len(data.held_out):
        raise UsageError("no picture is held out: a training needs some to know when to stop")
    for text in class_folders.odd_counts(data.classes, counts, "pictures to learn from"):
        warn(text)
