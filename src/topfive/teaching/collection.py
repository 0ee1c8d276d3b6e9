"""The features of a folder of pictures with classes, and what is odd about the pictures."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from topfive.classification import feature_cache
from topfive.classification.classifier import Classifier
from topfive.classification.pipeline import Response
from topfive.errors import EngineError
from topfive.networks.lessons import Lessons
from topfive.results import Failure
from topfive.sources.source import Source
from topfive.system.text import listing
from topfive.teaching.class_folders import FEW, UNEVEN, ClassFolder

TINY = 32  # pixels


class TeachingListener:
    """Hears how the collecting goes on; what is of interest is overridden."""

    def begin(self, total: int) -> None:
        """That many pictures will be read."""

    def add(self, source: str, failure: Failure | None) -> None:
        """One of them was, or could not be."""

    def end(self) -> None:
        """All were."""

    def warn(self, text: str) -> None:
        """Care is wanted; names of files in the text are as they are."""


@dataclass(frozen=True)
class Collected:
    """Pictures with their features, and what was left out.

    `classes` are those of the folder of which pictures are left, `lessons.truths` their indices;
    names are relative to the folder. No two pictures have the same bytes, and none is `held`.
    `failures` are the pictures that cannot be read. Of the others `known` had their features
    already, and `computed` had not; that took `seconds`.
    """

    classes: tuple[str, ...]
    lessons: Lessons
    failures: tuple[Failure, ...]
    warnings: tuple[str, ...]
    known: int
    computed: int
    seconds: float


def collect(
    classifier: Classifier, found: ClassFolder, listener: TeachingListener, *, counts: bool = True
) -> Collected:
    """Return the features of a folder's pictures; each warning is told to the listener, too.

    Of equal pictures in a class one is taken, of equal ones in several classes none. Without
    `counts` nothing is said of classes with few pictures.

    Raises:
        EngineError: the features are no numbers.
        WeightsError, MissingExtraError: see `Classifier`.
    """
    start = perf_counter()
    pictures: list[tuple[Source, int, Response]] = []
    failures = []
    with feature_cache.open_features(classifier) as opened:
        listener.begin(len(found.pictures))
        responses = opened.responses(source for source, _ in found.pictures)
        for (source, response), (_, truth) in zip(responses, found.pictures, strict=True):
            values = response.values
            if isinstance(values, Failure):
                failures.append(values)
                listener.add(source.name, values)
                continue
            if not np.isfinite(values).all():
                raise EngineError(f"the features of {source.name} are no numbers (NaN)")
            pictures.append((source, truth, response))
            listener.add(source.name, None)
        listener.end()
    kept, warnings = _without_copies(pictures)
    truths = np.array([truth for _, truth, _ in kept], np.intp)
    totals = np.bincount(truths, minlength=len(found.classes))
    left = np.flatnonzero(totals)
    classes = tuple(found.classes[place] for place in left)
    if lost := [found.classes[place] for place in np.flatnonzero(totals == 0)]:
        warnings.append(f"no picture is left of {listing(lost)}: left out")
    warnings += _odd(found, kept)
    if counts:
        warnings += _uneven(classes, totals[left])
    for text in warnings:
        listener.warn(text)
    lessons = Lessons(
        tuple(os.path.relpath(source.name, found.folder) for source, _, _ in kept),
        tuple(str(response.sha256) for _, _, response in kept),
        np.searchsorted(left, truths).astype(np.intp),
        np.zeros(len(kept), np.bool_),
        _stacked([response for _, _, response in kept]),
    )
    return Collected(
        classes, lessons, tuple(failures), tuple(warnings), opened.known, opened.computed,
        perf_counter() - start,
    )  # fmt: skip


def chosen(lessons: Lessons, which: NDArray[np.bool_]) -> Lessons:
    """Return the pictures for which `which` (n,) is true."""
    places = np.flatnonzero(which)
    return replace(
        lessons,
        names=tuple(lessons.names[place] for place in places),
        sha256=tuple(lessons.sha256[place] for place in places),
        truths=lessons.truths[places],
        held=lessons.held[places],
        features=lessons.features[places],
    )


def joined(first: Lessons, second: Lessons) -> Lessons:
    """Return the pictures of both, one after the other."""
    return Lessons(
        first.names + second.names,
        first.sha256 + second.sha256,
        np.concatenate([first.truths, second.truths]),
        np.concatenate([first.held, second.held]),
        np.concatenate([first.features, second.features]),
    )


def _without_copies(
    pictures: Sequence[tuple[Source, int, Response]],
) -> tuple[list[tuple[Source, int, Response]], list[str]]:
    """Return the pictures that are taken, and what is said of the others."""
    classes: dict[str | None, set[int]] = {}
    names: dict[str | None, list[str]] = {}
    for source, truth, response in pictures:
        classes.setdefault(response.sha256, set()).add(truth)
        names.setdefault(response.sha256, []).append(source.name)
    first: dict[str | None, None] = {}
    kept = []
    for picture in pictures:
        sha256 = picture[2].sha256
        if len(classes[sha256]) == 1 and sha256 not in first:
            first[sha256] = None
            kept.append(picture)
    warnings = []
    across = [" = ".join(names[sha256]) for sha256 in classes if len(classes[sha256]) > 1]
    if across:
        warnings.append(f"in several classes at once, left out: {listing(across)}")
    if copies := [one for sha256 in first for one in names[sha256][1:]]:
        warnings.append(f"copies of other pictures, left out: {listing(copies)}")
    return kept, warnings


def _odd(found: ClassFolder, kept: Sequence[tuple[Source, int, Response]]) -> Iterator[str]:
    tiny = [
        source.name
        for source, _, response in kept
        if min(response.width or 0, response.height or 0) < TINY
    ]
    if tiny:
        yield f"under {TINY} pixels wide or high: {listing(tiny)}"
    if found.empty:
        empty = [os.path.join(found.folder, name) for name in found.empty]  # noqa: PTH118
        yield f"folders without a file, left out: {listing(empty)}"
    if found.unlabelled:
        yield f"files beside the classes' folders, left out: {listing(found.unlabelled)}"


def _uneven(classes: Sequence[str], counts: NDArray[np.intp]) -> Iterator[str]:
    few = [f"{name} ({count})" for name, count in zip(classes, counts, strict=True) if count < FEW]
    if few:
        yield f"under {FEW} pictures of {listing(few)}; more would make it better"
    if len(counts) and counts.max() > UNEVEN * counts.min():
        most, least = int(counts.argmax()), int(counts.argmin())
        yield (
            f"{counts[most]:,} pictures of {classes[most]} and {counts[least]:,} of "
            f"{classes[least]}: all classes count the same, whatever their number of pictures"
        )


def _stacked(responses: Sequence[Response]) -> NDArray[np.float32]:
    vectors = [one.values for one in responses if not isinstance(one.values, Failure)]
    return np.stack(vectors) if vectors else np.empty((0, 0), np.float32)
