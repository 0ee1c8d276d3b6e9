"""Different pictures of a folder, chosen by their contents' hashes."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from topfive.classification.pipeline import READERS
from topfive.errors import PictureError, UsageError
from topfive.evaluation import ground_truth
from topfive.evaluation.ground_truth import Name
from topfive.networks import labels
from topfive.networks.cards import Network, Recipe
from topfive.pictures.preparation import prepare
from topfive.results import Failure, Listener
from topfive.sources.source import Source

CALIBRATING = 300  # pictures to make a network with, at most
LEAST = 20  # for that, and to measure on

Found = Iterable[tuple[Source, int | None]]  # pictures with the indices of their classes

log = logging.getLogger("topfive")


@dataclass(frozen=True)
class Example:
    """A picture, uint8 (size, size, 3), and the index of its class, None where it is unknown."""

    square: NDArray[np.uint8]
    truth: int | None


def find(
    folder: Name,
    network: Network,
    truth: Name | None = None,
    numbers: str | None = None,
    class_column: str | None = None,
) -> Found:
    """Return the pictures in a folder, an archive or a bucket, with their classes where these
    are known; where they are not the log says so.

    Raises:
        UsageError: there is no such folder, or the truth file does not fit it.
    """
    known = ground_truth.read_or_unlabelled(
        folder, labels.of(network), truth, numbers, class_column
    )
    if isinstance(known, ground_truth.Unlabelled):
        log.info("without classes, only the agreement with float32 is measured: %s", known.reason)
    elif known.unlabelled:
        log.info("%d of the files have no class and are left out", len(known.unlabelled))
    return known


def collect(
    found: Found, network: Network, recipe: Recipe, limit: int, max_pixels: int, listener: Listener
) -> list[Example]:
    """Return up to `limit` different pictures in the order of their contents' hashes.

    All are read once to be hashed, the chosen ones once more: which these are does not depend
    on the order, and the first of a folder that is sorted by class would show a few classes.
    """
    chosen: dict[str, tuple[Source, int | None]] = {}
    examples = []
    with ThreadPoolExecutor(READERS) as pool:
        for source, truth, digest in pool.map(_hash, found):
            if isinstance(digest, PictureError):
                listener.add(source.name, Failure(source.name, digest.kind, str(digest)))
            elif digest not in chosen or source.name < chosen[digest][0].name:
                chosen[digest] = source, truth  # of equal ones the first by name
        first = [chosen[digest] for digest in sorted(chosen)[:limit]]
        listener.begin(len(first))
        squares = pool.map(lambda one: prepare(one[0], network.size, recipe, max_pixels), first)
        for prepared, (source, truth) in zip(squares, first, strict=True):
            square = prepared.square
            if isinstance(square, np.ndarray):
                listener.add(source.name, None)
                examples.append(Example(square, truth))
            elif isinstance(square, PictureError):
                listener.add(source.name, Failure(source.name, square.kind, str(square)))
    listener.end()
    return examples


def _hash(one: tuple[Source, int | None]) -> tuple[Source, int | None, str | PictureError]:
    try:
        return *one, hashlib.sha256(one[0].read()).hexdigest()
    except PictureError as error:
        return *one, error


def split(
    found: Sequence[Example], made: bool, folder: str
) -> tuple[Sequence[Example], Sequence[Example]]:
    """Return the pictures to make a network with, a third and at most `CALIBRATING`, and those
    to measure on; not `made`, all are.

    Raises:
        UsageError: there are too few.
    """
    count = min(CALIBRATING, len(found) // 3) if made else 0
    needed = 3 * LEAST if made else LEAST
    if len(found) < needed:
        raise UsageError(
            f"{folder} holds {len(found)} different pictures that can be read; {needed} or more "
            "are needed, and some hundreds to measure well"
        )
    return found[:count], found[count:]


def arrays(examples: Sequence[Example]) -> tuple[NDArray[np.uint8], list[int] | None]:
    """Return the pictures, uint8 (n, size, size, 3), and their classes, if known."""
    truths = [one.truth for one in examples if one.truth is not None]
    return np.stack([one.square for one in examples]), truths or None
