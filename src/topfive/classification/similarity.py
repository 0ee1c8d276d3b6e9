"""Pictures that are alike: those whose features point in nearly the same direction."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from topfive.classification.feature_formats import Block
from topfive.classification.outputs import Layout
from topfive.errors import UsageError
from topfive.pictures import contact_sheets
from topfive.results import Failure
from topfive.system.text import Number, printable

if TYPE_CHECKING:
    from PIL import Image

SAME = "the same picture"


@dataclass(frozen=True)
class Match:
    """A picture of the file: how alike it is (-1 to 1, 1: the same features), and whether it
    is, byte by byte, the `same` as the one that was asked about."""

    source: str
    sha256: str | None
    similarity: float
    same: bool


@dataclass(frozen=True)
class Matches:
    """The pictures that are most like `source`, the most alike first."""

    source: str
    matches: tuple[Match, ...]

    def to_dict(self) -> dict[str, object]:
        """Return plain values, ready for JSON."""
        return {"source": self.source, "matches": [asdict(match) for match in self.matches]}


Result = Matches | Failure


@dataclass(frozen=True)
class Query:
    """A picture that is asked about, with its features, float32 (features,)."""

    source: str
    sha256: str | None
    features: NDArray[np.float32]


def nearest(queries: Sequence[Query], blocks: Iterable[Block], count: int = 12) -> list[Matches]:
    """Return the `count` pictures in `blocks` that are most like each query.

    All are compared, by the cosine of the angle between their features. Of those that are
    equally alike the earlier comes first.

    Raises:
        UsageError: `count` is less than 1, or the numbers of features differ.
    """
    if count < 1:
        raise UsageError(f"count must be at least 1; received {count}")
    best: list[list[Match]] = [[] for _ in queries]
    if not queries:
        return []
    asked = normalised(np.stack([query.features for query in queries]))
    for block in map(Block.answered, blocks):
        if not block.entries:
            continue
        if block.features.shape[1] != asked.shape[1]:
            raise UsageError(
                f"the pictures have {block.features.shape[1]:,} features each; expected "
                f"{asked.shape[1]:,}, as the network has"
            )
        # Row by row, not by BLAS: the same features give the same bits wherever they stand.
        found = np.einsum("ij,kj->ki", normalised(block.features), asked).clip(-1, 1)
        for number, (query, similarities) in enumerate(zip(queries, found, strict=True)):
            first = np.argsort(-similarities, kind="stable")[:count]
            more = [_match(query, block, row, similarities[row]) for row in first]
            best[number] = sorted(best[number] + more, key=lambda one: -one.similarity)[:count]
    return [Matches(query.source, tuple(one)) for query, one in zip(queries, best, strict=True)]


def normalised(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return rows with length 1; rows of zeros, which have no direction, as they are."""
    # By the largest first: squares of what is very large or small would leave float32.
    scaled = _divided(features, np.abs(features).max(axis=1))
    return _divided(scaled, np.sqrt(np.einsum("ij,ij->i", scaled, scaled)))


def _lines(result: Matches) -> list[str]:
    """Return lines like `1. dog.jpg: 0.9312`."""
    return [
        f"{rank}. {printable(match.source)}: {match.similarity:.4f}"
        + (f" ({SAME})" if match.same else "")
        for rank, match in enumerate(result.matches, start=1)
    ]


def _rows(result: Result) -> Iterator[list[object]]:
    """Yield a row for each match, or one for a failure."""
    if isinstance(result, Failure):
        yield [result.source, *[None] * 5, result.kind, result.message]
        return
    for rank, one in enumerate(result.matches, start=1):
        told = one.source, one.sha256, Number(f"{one.similarity:.6f}"), int(one.same)
        yield [result.source, rank, *told, None, None]


LAYOUT = Layout(
    ("source", "rank", "match", "sha256", "similarity", "same", "error_kind", "error"),
    _rows,
    _lines,
)


def sheet(picture: Image.Image, found: Matches, max_pixels: int) -> Image.Image:
    """Return the picture that was asked about beside its matches, each with its name and how
    alike it is; what cannot be read any longer is an empty frame."""
    names = [match.source for match in found.matches]
    small = contact_sheets.thumbnails(names, contact_sheets.WIDTH, max_pixels)
    cells = [(picture, [_short(found.source), "asked about"])]
    for match in found.matches:
        alike = f"{contact_sheets.RIGHT}{SAME}" if match.same else f"{match.similarity:.3f}"
        cells.append((small[match.source], [_short(match.source), alike]))
    return contact_sheets.sheet(cells)


def _short(source: str) -> str:
    return source.rpartition("/")[2]


def _divided(rows: NDArray[np.float32], by: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows / np.where(by > 0, by, 1).astype(np.float32)[:, None]


def _match(query: Query, block: Block, row: int, similarity: np.float32) -> Match:
    entry = block.entries[row]
    same = query.sha256 is not None and entry.sha256 == query.sha256
    return Match(entry.source, entry.sha256, float(similarity), same)
