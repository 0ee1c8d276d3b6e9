"""By how much the classes that extend a network are lowered, so that its own keep their pictures.

The head of an extended network tells of each new class the log-odds against all of the old
ones. Beside it stands the logarithm of the old classes' probabilities, so the first answer to
a picture of an old class is a new one only where its score is over that of the best old class:
one number added to all scores decides how often that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from topfive.errors import UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure
from topfive.networks.lessons import OLD
from topfive.teaching import regression

FOLDS = 5


@dataclass(frozen=True)
class Before:
    """What the network answered before it was extended, to each of (pictures,) pictures: the
    logarithm of its `best` class's probability, and whether that class is the `right` one (of
    old pictures whose class nobody tells: always)."""

    best: NDArray[np.float32]
    right: NDArray[np.bool_]

    def __getitem__(self, chosen: NDArray[np.generic]) -> Before:
        return Before(self.best[chosen], self.right[chosen])

    def array(self) -> NDArray[np.float32]:
        """Return both as (pictures, 2) numbers."""
        return np.stack([self.best, self.right.astype(np.float32)], axis=1)


@dataclass(frozen=True)
class Outcome:
    """What an extended network does with pictures that took no part in its making.

    Of the pictures of old classes: how many are answered right `before` and `after`, with the
    p-value of McNemar's exact test, and how many are `taken` for a new class. Of those of new
    classes: how many are `recognised`.
    """

    before: Measure
    after: Measure
    p_value: float
    taken: Measure
    recognised: Measure

    @property
    def cost(self) -> Measure:
        """How many pictures of old classes are right no longer."""
        return metrics.share(self.before.hits - self.after.hits, self.before.of)


def fit(
    features: NDArray[np.float32], truths: NDArray[np.integer], num_classes: int, before: Before,
    cost: float, *, strength: float | None = None, seed: int = 0,
    groups: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.float32], float, float]:  # fmt: skip
    """Return the head (features + 1, classes) of new classes, with the strength of its
    regularisation and the offset that is in its last row.

    `features` are (pictures, features), `truths` the indices of their new classes or `OLD`;
    `cost` is what `choose` keeps, with scores of pictures that the fit has not seen, nor others of
    their `groups` (n,).

    Raises:
        UsageError: the cost cannot be kept.
    """
    allowed(int(np.count_nonzero(truths == OLD)), cost)  # before the work
    head, strength = _fit(features, truths, num_classes, strength, seed, groups)
    folds = _folds(truths, seed, groups)
    own = np.full((len(truths), num_classes), np.nan)
    for fold in range(FOLDS):
        out = folds == fold
        if out.any():
            part, _ = _fit(features[~out], truths[~out], num_classes, strength, seed)
            own[out] = scores(part, features[out])
    seen = folds >= 0
    offset = choose(own[seen], truths[seen], before[seen], cost)
    head[-1] += np.float32(offset)
    return head, strength, offset


def scores(head: NDArray[np.float32], features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a head says of (n, features) features: (n, classes)."""
    return np.asarray(features @ head[:-1] + head[-1], np.float32)


def choose(
    own: NDArray[np.floating], truths: NDArray[np.integer], before: Before, cost: float
) -> float:
    """Return what is added to all new classes' scores `own`, (pictures, classes).

    It is the middle of the range where most new pictures are recognised for the fewest old
    ones that are taken for new (Youden's index), of those where of further pictures like the
    old ones at most `cost` percent, on average, are answered right no longer.

    Raises:
        UsageError: there is none; the message says what can be kept.

    Source: Youden 1950, doi:10.1002/1097-0142(1950)3:1<32; Angelopoulos et al. 2022,
    arXiv:2208.02814 (conformal risk control).
    """
    old = truths == OLD
    num_old = int(np.count_nonzero(old))
    most = allowed(num_old, cost)
    hit = ~old & (own.argmax(axis=1) == truths)
    # From which offset on a new class is the first answer.
    margins = before.best - own.max(axis=1)
    steps = np.unique(margins[hit | old])
    lost = _under(steps, margins[old & before.right])
    taken = _under(steps, margins[old]) / num_old
    recognised = _under(steps, margins[hit]) / max(1, len(old) - num_old)
    gain = np.where(lost <= most, recognised - taken, -np.inf)
    best = int(gain.argmax())
    if gain[best] <= 0:
        raise UsageError(
            f"no new picture is recognised while the old classes lose at most {cost:g} % of "
            "their pictures: the new ones are too much like them, or too few"
        )
    upper = steps[best + 1] if best + 1 < len(steps) else steps[best] + 1
    return float((steps[best] + upper) / 2)


def allowed(num_old: int, cost: float) -> int:
    """Return how many of so many old pictures may be lost for a promise of `cost` percent.

    Raises:
        UsageError: it is no such percentage, or there are too few pictures for it.
    """
    if not 0 < cost < 100:
        raise UsageError(f"the cost is over 0 and under 100 (percent); received {cost:g}")
    most = math.floor(cost / 100 * (num_old + 1) - 1 + 1e-9)
    if most < 0:
        raise UsageError(
            f"{num_old:,} pictures of the old classes to learn from are too few to keep the cost "
            f"at {cost:g} %: give {math.ceil(100 / cost - 1e-9) - 1:,} or more, besides those "
            "that are held out"
            + (f", or allow {math.ceil(1000 / (num_old + 1)) / 10:g} %" if num_old else "")
        )
    return most


def measure(own: NDArray[np.floating], truths: NDArray[np.integer], before: Before) -> Outcome:
    """Return what becomes of pictures by the new classes' scores, (pictures, classes)."""
    old = truths == OLD
    is_new = own.max(axis=1) > before.best
    right = old & before.right
    lost = int(np.count_nonzero(right & is_new))
    num_old, num_right = int(np.count_nonzero(old)), int(np.count_nonzero(right))
    hit = ~old & is_new & (own.argmax(axis=1) == truths)
    return Outcome(
        metrics.share(num_right, num_old),
        metrics.share(num_right - lost, num_old),
        metrics.mcnemar(lost, 0),
        metrics.share(int(np.count_nonzero(old & is_new)), num_old),
        metrics.share(int(np.count_nonzero(hit)), len(truths) - num_old),
    )


def _fit(
    features: NDArray[np.float32], truths: NDArray[np.integer], num_classes: int,
    strength: float | None, seed: int, groups: NDArray[np.intp] | None = None,
) -> tuple[NDArray[np.float32], float]:  # fmt: skip
    """Return the log-odds of each new class against all old ones, one class that counts half."""
    known = np.where(truths == OLD, num_classes, truths)
    counts = np.bincount(known, minlength=num_classes + 1)
    parts = np.full(num_classes + 1, 0.5 / num_classes)
    parts[-1] = 0.5
    weights = len(known) * (parts / np.maximum(counts, 1))[known]
    found = regression.fit(
        features, known, num_classes + 1,
        strength=strength, seed=seed, weights=weights, groups=groups,
    )  # fmt: skip
    return found.head[:, :-1] - found.head[:, -1:], found.strength


def _folds(
    truths: NDArray[np.integer], seed: int, groups: NDArray[np.intp] | None
) -> NDArray[np.intp]:
    """Return each picture's fold, stratified; -1 of a class's only one, which stays in all."""
    if groups is not None and len(np.unique(groups)) < len(groups):
        folds = regression.group_folds(truths, groups, FOLDS, seed)
        return np.where(_are_alone(truths, groups), -1, folds)
    order = np.random.default_rng(seed).permutation(len(truths))
    folds = np.full(len(truths), -1)
    for truth in np.unique(truths):
        places = order[truths[order] == truth]
        if len(places) > 1:
            folds[places] = np.arange(len(places)) % FOLDS
    return folds


def _are_alone(truths: NDArray[np.integer], groups: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return which pictures are in a group that has a whole class in it."""
    held = [np.unique(groups[truths == truth]) for truth in np.unique(truths)]
    return np.isin(groups, [one[0] for one in held if len(one) == 1])


def _under(steps: NDArray[np.floating], margins: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return how many margins are passed between each step and the next."""
    return np.searchsorted(np.sort(margins), steps, side="right")
