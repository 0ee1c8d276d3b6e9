"""What is measured of answers whose truth is known: arrays in, frozen values out."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from topfive.networks.labels import Label

CONFIDENCE = 0.95
NUM_BINS = 15


@dataclass(frozen=True)
class Measure:
    """How often something was so: `hits` of `of` times, and the share's 95 % interval (0 to 1)."""

    hits: int
    of: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share, 0 to 1; nan of nothing."""
        return self.hits / self.of if self.of else math.nan


@dataclass(frozen=True)
class ClassResult:
    """How the pictures of one class were answered."""

    index: int
    wnid: str
    label: str
    top1: Measure
    top5: Measure


@dataclass(frozen=True)
class Confusion:
    """How many pictures of the class `truth` were taken for the class `predicted`."""

    truth: int
    predicted: int
    count: int


@dataclass(frozen=True)
class Bin:
    """The answers whose confidence is over `low` and up to `high`: how many, their mean
    confidence and the share that is right (both nan where there are none)."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@cache
def share(hits: int, of: int) -> Measure:
    """Return a share with Wilson's 95 % interval, which is 0 to 1 of nothing.

    Source: Wilson 1927, doi:10.1080/01621459.1927.10502953.
    """
    from scipy.stats import binomtest

    if of == 0:
        return Measure(0, 0, 0.0, 1.0)
    interval = binomtest(hits, of).proportion_ci(CONFIDENCE, method="wilson")
    return Measure(hits, of, float(interval.low), float(interval.high))


def doubt(right: Measure, num_classes: int) -> str | None:
    """Return, in words, that no more first answers are right than by chance, if so it is."""
    chance = 1 / num_classes
    if not right.of or num_classes < 2 or right.low > chance:
        return None
    return (
        f"{share_text(right)} of the first answers are right, which may be chance "
        f"({100 * chance:.2g} %): is the numbering of the classes, or the order of the pictures, "
        "another one?"
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Return the two-sided p-value of McNemar's exact test: of the pictures that one network
    alone has right, how likely so uneven a split is between equally good ones.

    Source: McNemar 1947, doi:10.1007/BF02295996.
    """
    from scipy.stats import binomtest

    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def reliability(
    confidences: NDArray[np.floating], right: NDArray[np.bool_], num_bins: int = NUM_BINS
) -> tuple[Bin, ...]:
    """Return bins of equal width from (pictures,) probabilities of the first answers and
    whether these were right.

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    places = np.clip(np.searchsorted(edges, confidences, side="left") - 1, 0, num_bins - 1)
    counts = np.bincount(places, minlength=num_bins)
    sums = np.bincount(places, confidences, num_bins)
    hits = np.bincount(places, right, num_bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 is nan, as it shall be
        columns = edges[:-1], edges[1:], counts, sums / counts, hits / counts
    return tuple(Bin(*one) for one in zip(*(column.tolist() for column in columns), strict=True))


def calibration_error(bins: Sequence[Bin]) -> float:
    """Return the expected calibration error, 0 to 1: by how much confidence and accuracy differ,
    on average over the pictures; nan without any."""
    total = sum(one.count for one in bins)
    gaps = (one.count * abs(one.confidence - one.accuracy) for one in bins if one.count)
    return sum(gaps) / total if total else math.nan


def confusions(
    truths: NDArray[np.integer], predicted: NDArray[np.integer]
) -> tuple[Confusion, ...]:
    """Return which classes were taken for which, the most frequent first, then by index."""
    pairs = sorted(zip(truths.tolist(), predicted.tolist(), strict=True))
    counts = Counter(pair for pair in pairs if pair[0] != pair[1])
    return tuple(Confusion(*pair, count) for pair, count in counts.most_common())


def by_class(
    truths: NDArray[np.integer], ranks: NDArray[np.integer], labels: Sequence[Label]
) -> tuple[ClassResult, ...]:
    """Return the result of each class that occurs, by index; `ranks` are the truths', from 1."""
    results = []
    for index in np.unique(truths).tolist():
        own, label = ranks[truths == index], labels[index]
        top1, top5 = (share(int(np.count_nonzero(own <= best)), len(own)) for best in (1, 5))
        results.append(ClassResult(index, label.wnid, label.name, top1, top5))
    return tuple(results)


def share_text(measure: Measure) -> str:
    """Return a share as `57 of 60 (95.0 %, 95 % interval 86.3-98.3)`."""
    if not measure.of:
        return "none to measure on"
    return (
        f"{measure.hits:,} of {measure.of:,} ({100 * measure.value:.1f} %, 95 % interval "
        f"{100 * measure.low:.1f}-{100 * measure.high:.1f})"
    )
