"""The features of a folder of pictures with classes, and what is odd about the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from topfive.classification import feature_cache
from topfive.classification.classifier import Classifier
from topfive.classification.feature_cache import Features
from topfive.classification.pipeline import NOT_FINITE
from topfive.errors import EngineError
from topfive.evaluation import near_copies
from topfive.networks.lessons import Lessons
from topfive.results import Failure, Listener
from topfive.sources.source import Source
from topfive.system.text import listing
from topfive.teaching.class_folders import ClassFolder, odd_counts

TINY = 32  # pixels


class Log(Listener):
    """Passes on what it hears, and keeps the failures and the warnings."""

    def __init__(self, listener: Listener | None) -> None:
        self._listener = listener or Listener()
        self.failures: list[Failure] = []
        self.warnings: list[str] = []

    def begin(self, total: int) -> None:
        """See `Listener`, as with all that follow."""
        self._listener.begin(total)

    def add(self, source: str, failure: Failure | None) -> None:
        """Keep a failure."""
        if failure is not None:
            self.failures.append(failure)
        self._listener.add(source, failure)

    def end(self) -> None:
        """Pass it on."""
        self._listener.end()

    def warn(self, text: str) -> None:
        """Keep a warning."""
        self.warnings.append(text)
        self._listener.warn(text)


class Seen(NamedTuple):
    """A picture that was read: its features (d,), the hash of its bytes, its shorter side in
    pixels; `truth` is what was given with it."""

    source: Source
    truth: int
    features: NDArray[np.float32]
    sha256: str
    side: int


@dataclass(frozen=True)
class Collected:
    """Pictures with their features.

    `classes` are those of the folder of which pictures are left, `lessons.truths` their indices;
    names are relative to the folder. No two pictures have the same bytes; `sources` are the
    pictures by the hashes of these, `thumbnails` what `near_copies.read` gives, `groups` those of
    near-copies, which stay together where pictures are held out. `known` had their features
    already, and `computed` had not; that took `seconds`.
    """

    classes: tuple[str, ...]
    lessons: Lessons
    sources: dict[str, Source]
    thumbnails: NDArray[np.uint8]
    groups: NDArray[np.intp]
    known: int
    computed: int
    seconds: float


def collect(
    classifier: Classifier, found: ClassFolder, listener: Listener, *, counts: bool = True
) -> Collected:
    """Return the features of a folder's pictures, none of them held out.

    Of equal pictures in a class one is taken, of equal ones in several classes none. The listener
    hears which cannot be read, and what is odd; without `counts` nothing is said of classes with
    few pictures.

    Raises:
        EngineError: the features are no numbers.
        WeightsError, MissingExtraError: see `Classifier`.
    """
    start = perf_counter()
    with feature_cache.open_features(classifier) as opened:
        seen = list(read_features(opened, found.pictures, listener))
    kept, warnings = _without_copies(seen)
    truths = np.array([one.truth for one in kept], np.intp)
    totals = np.bincount(truths, minlength=len(found.classes))
    left = np.flatnonzero(totals)
    classes = tuple(found.classes[place] for place in left)
    if lost := [found.classes[place] for place in np.flatnonzero(totals == 0)]:
        warnings.append(f"no picture is left of {listing(lost)}: left out")
    warnings += _odd(found, kept)
    if counts:
        warnings += odd_counts(classes, totals[left])
    for text in warnings:
        listener.warn(text)
    lessons = Lessons(
        tuple(os.path.relpath(one.source.name, found.folder) for one in kept),
        tuple(one.sha256 for one in kept),
        np.searchsorted(left, truths).astype(np.intp),
        np.zeros(len(kept), np.bool_),
        np.stack([one.features for one in kept]) if kept else np.empty((0, 0), np.float32),
    )
    sources = {one.sha256: one.source for one in kept}
    thumbnails = near_copies.read((one.source for one in kept), classifier.max_pixels)
    groups = near_copies.group(thumbnails, lessons.features)
    seconds = perf_counter() - start
    counted = opened.known, opened.computed, seconds
    return Collected(classes, lessons, sources, thumbnails, groups, *counted)


def read_features(
    features: Features, pictures: Sequence[tuple[Source, int]], listener: Listener
) -> Iterator[Seen]:
    """Yield the pictures that can be read; the listener hears of the others, too.

    Raises:
        EngineError: the features are no numbers.
    """
    listener.begin(len(pictures))
    responses = features.responses(source for source, _ in pictures)
    for (source, response), (_, truth) in zip(responses, pictures, strict=True):
        values = response.values
        if isinstance(values, Failure):
            if values.kind == NOT_FINITE:
                raise EngineError(f"the features of {source.name} are no numbers (NaN)")
            listener.add(source.name, values)
            continue
        side = min(response.width or 0, response.height or 0)
        listener.add(source.name, None)
        yield Seen(source, truth, values, str(response.sha256), side)
    listener.end()


def _without_copies(pictures: Sequence[Seen]) -> tuple[list[Seen], list[str]]:
    """Return the pictures that are taken, and what is said of the others."""
    groups: dict[str, list[Seen]] = {}
    for one in pictures:
        groups.setdefault(one.sha256, []).append(one)
    mixed: list[list[Seen]] = []
    same: list[list[Seen]] = []
    for group in groups.values():
        (mixed if len({one.truth for one in group}) > 1 else same).append(group)
    warnings = []
    if across := [" = ".join(one.source.name for one in group) for group in mixed]:
        warnings.append(f"in several classes at once, left out: {listing(across)}")
    if copies := [one.source.name for group in same for one in group[1:]]:
        warnings.append(f"copies of other pictures, left out: {listing(copies)}")
    return [group[0] for group in same], warnings


def _odd(found: ClassFolder, kept: Sequence[Seen]) -> Iterator[str]:
    if tiny := [one.source.name for one in kept if one.side < TINY]:
        yield f"under {TINY} pixels wide or high: {listing(tiny)}"
    if found.empty:
        empty = [os.path.join(found.folder, name) for name in found.empty]  # noqa: PTH118
        yield f"folders without a file, left out: {listing(empty)}"
    if found.unlabelled:
        yield f"files beside the classes' folders, left out: {listing(found.unlabelled)}"
