"""Pictures that show the same: smaller, recompressed, mirrored or recoloured copies.

What is held out must have no copies among what is learned from. They are found by the edges in
them, which neither size nor colour changes, and, where features are given, only among pictures
that the network sees alike. The limits were measured: docs/decisions/12-teaching.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topfive.classification import pipeline
from topfive.networks.cards import Recipe
from topfive.pictures.preparation import Prepared, prepare
from topfive.sources.archives import Member
from topfive.sources.source import Source

# What users are told of them.
TOGETHER = "near-copies of others, smaller or recoloured: they are held out together or not"
SIDE = 40  # pixels of a thumbnail
WHOLE = Recipe("stretch", "bilinear", SIDE)
COARSE, FINE = 8, 32  # pixels of what is looked through, and of what is then compared
LIKELY, LIMIT = 0.85, 0.985  # correlations of the edges at these
ALIKE = 0.3  # cosine of the features
FAINT = 20.0  # the length of all edges, in grey levels, under which they are noise
ROWS = 512  # pictures that are compared with all at once


def read(sources: Iterable[Source], max_pixels: int) -> NDArray[np.uint8]:
    """Return thumbnails (n, SIDE, SIDE) of pictures on this machine; what cannot be read, or would
    have to be fetched again, is black, which is like nothing."""

    def look(source: Source) -> Prepared:
        if isinstance(source.content, Path | Member | bytes):
            return prepare(source, SIDE, WHOLE, max_pixels, draft=True)
        return Prepared(source, nothing, None, None, None, 0.0)

    nothing = np.zeros((SIDE, SIDE, 3), np.uint8)
    found = pipeline.stream(sources, look, lambda some: some, parallel=1, batch=1)
    squares = (one.square for _, one in found)
    some = [shrink(one if isinstance(one, np.ndarray) else nothing) for one in squares]
    return np.array(some, np.uint8).reshape(-1, SIDE, SIDE)


def shrink(square: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a prepared picture (n, n, 3) as a thumbnail, grey."""
    from PIL import Image

    grey = Image.fromarray(square).convert("L")
    return np.asarray(grey.resize((SIDE, SIDE), Image.Resampling.BOX))


def group(
    thumbnails: NDArray[np.uint8], features: NDArray[np.float32] | None = None
) -> NDArray[np.intp]:
    """Return the number of each picture's group (n,): that of the first of its near-copies, which
    is its own where it has none."""
    groups = np.arange(len(thumbnails))
    for pairs in _pairs(thumbnails, features):
        groups = _join(groups, pairs)
    return groups


def count_copies(groups: NDArray[np.intp]) -> int:
    """Return how many pictures have a near-copy."""
    sizes = np.bincount(groups)
    return int(sizes[sizes > 1].sum())


def _join(groups: NDArray[np.intp], pairs: NDArray[np.intp]) -> NDArray[np.intp]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    first, second = np.concatenate([pairs, np.stack([np.arange(len(groups)), groups], 1)]).T
    graph = coo_array((np.ones(len(first)), (first, second)), shape=(len(groups),) * 2)
    _, parts = connected_components(graph, directed=False)
    _, starts, places = np.unique(parts, return_index=True, return_inverse=True)
    return np.asarray(starts[places], np.intp)


def _pairs(
    thumbnails: NDArray[np.uint8], features: NDArray[np.float32] | None
) -> Iterator[NDArray[np.intp]]:
    """Yield the pairs of pictures that are near-copies, (n, 2), some at a time."""
    mirrored = thumbnails[:, :, ::-1]
    coarse = _all_edges(thumbnails, COARSE)
    seen = None if features is None else _normalize(features.astype(np.float32))
    for start in range(0, len(thumbnails), ROWS):
        block = slice(start, start + ROWS)
        found = [np.empty((0, 2), np.intp)]
        for views in (thumbnails[block], mirrored[block]):
            near = _all_edges(views, COARSE) @ coarse[start:].T >= LIKELY
            for place, others in ((one, np.flatnonzero(row)) for one, row in enumerate(near)):
                others = others[others > place] + start
                if seen is not None and len(others):
                    others = others[seen[others] @ seen[start + place] >= ALIKE]
                if len(others):
                    own = _all_edges(views[place : place + 1], FINE)[0]
                    others = others[_all_edges(thumbnails[others], FINE) @ own >= LIMIT]
                    first = np.full(len(others), start + place)
                    found.append(np.stack([first, others], axis=1))
        yield np.concatenate(found)


def _all_edges(thumbnails: NDArray[np.uint8], side: int) -> NDArray[np.float32]:
    """Return the edges of thumbnails at `side` pixels, (n, edges)."""
    turn = _matrix(side)
    found = np.empty((len(thumbnails), 2 * side * (side - 1)), np.float32)
    for start in range(0, len(thumbnails), ROWS):
        some = thumbnails[start : start + ROWS].astype(np.float32)
        found[start : start + ROWS] = _edges(np.asarray(turn @ some @ turn.T, np.float32))
    return found


@cache
def _matrix(side: int) -> NDArray[np.float32]:
    """Return what makes `side` means of the pixels of a thumbnail."""
    ends = np.linspace(0, SIDE, side + 1)[:, None]
    covered = np.clip(ends - np.arange(SIDE), 0, 1)
    return (np.diff(covered, axis=0) * side / SIDE).astype(np.float32)


def _edges(pictures: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how pictures (n, m, m) change from pixel to pixel, down and to the right, of length 1,
    or less where there is next to nothing on them."""
    both = [np.diff(pictures, axis=axis).reshape(len(pictures), -1) for axis in (1, 2)]
    return _normalize(np.concatenate(both, axis=1), FAINT)


def _normalize(vectors: NDArray[np.float32], least: float = 1e-9) -> NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, least), np.float32)
