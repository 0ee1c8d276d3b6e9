"""Logits of pictures whose classes are known to a `Calibration`, and how good that is."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from topfive.classification.calibration import (
    TEMPERATURES,
    Calibration,
    conformal_scores,
    quantile,
    ranking,
    reject_scores,
)
from topfive.classification.options import METHODS, REJECT_RATE, REJECT_SCORES
from topfive.engines.run import softmax
from topfive.errors import UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Measure
from topfive.networks.cards import check_choice
from topfive.version import __version__

COVERAGES = (0.8, 0.9, 0.95)
# RAPS's lambda and k_reg. They are fixed, for what is chosen on the pictures that give the
# quantile breaks the promise (0.941 was measured for 0.95), and what is chosen on others takes
# these from it, which made larger sets on 160 photographs than these two.
PENALTY, FREE = 0.01, 5
FOLDS = 10
CHUNK = 1024  # pictures at a time, to bound memory


@dataclass(frozen=True)
class Sets:
    """The sets of a coverage on pictures that took no part in the calibration: how often they
    `held` the truth, and how many classes they have, on average. The true
    coverage of 19 of 20 calibrations with so many pictures is over `low`.

    Source: Angelopoulos and Bates 2021, arXiv:2107.07511, section 3.2.
    """

    coverage: float
    held: Measure
    size: float
    low: float


def check(method: str, reject_score: str, reject_rate: float) -> None:
    """Raise a `UsageError` for what `fit` does not take."""
    check_choice("method", method, METHODS)
    check_choice("reject score", reject_score, REJECT_SCORES)
    if not 0 < reject_rate < 1:
        raise UsageError(f"the reject rate must be between 0 and 1; received {reject_rate}")


def fit(
    logits: NDArray[np.float32],
    truths: NDArray[np.intp],
    method: str = METHODS[0],
    reject_score: str = REJECT_SCORES[0],
    reject_rate: float = REJECT_RATE,
    *,
    recipe: str,
    precision: str = "f32",
    groups: NDArray[np.intp] | None = None,
) -> Calibration:
    """Return the calibration by logits (n, classes) of pictures of the classes `truths` (n,).

    `method` is one of `METHODS`, `reject_score` one of `REJECT_SCORES`. Of pictures like
    these, a share of at most `reject_rate` (0 to 1) is rejected. Pictures of one of the `groups`
    (n,) are not measured on by one another.

    Raises:
        UsageError: there are too few pictures for the rate, or one of the options is unknown.
    """
    check(method, reject_score, reject_rate)
    threshold = _threshold(reject_scores(logits, reject_score), reject_rate)
    penalty, free = (PENALTY, FREE) if method == "raps" else (0.0, 0)
    scores = np.sort(_true_scores(logits, truths, penalty, free))
    plain = np.ones(len(truths))
    apart = np.empty(len(truths))
    for train, test in _folds(len(truths), groups):
        apart[test] = find_temperature(logits[train], truths[train])
    temperature = find_temperature(logits, truths)
    rounded = np.ceil(scores * 1e6) / 1e6  # up: larger sets, by nothing that shows
    sets = method, tuple(rounded.tolist()), penalty, free
    rejection = reject_score, threshold, reject_rate
    seen = len(truths), recipe, precision
    nll = _likelihood(logits, truths, plain), _likelihood(logits, truths, apart)
    ece = _error(logits, truths, plain), _error(logits, truths, apart)
    return Calibration(temperature, *sets, *rejection, *seen, nll, ece, __version__)


def find_temperature(logits: NDArray[np.float32], truths: NDArray[np.intp]) -> float:
    """Return the temperature, in `TEMPERATURES`, at which the truths are most likely.

    Source: Guo et al. 2017, arXiv:1706.04599.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda power: _likelihood(logits, truths, np.full(len(truths), math.exp(power))),
        bounds=tuple(map(math.log, TEMPERATURES)),
        method="bounded",
    )
    return math.exp(found.x)


def find_sets(
    found: Calibration,
    logits: NDArray[np.float32],
    truths: NDArray[np.intp],
    groups: NDArray[np.intp] | None = None,
) -> tuple[Sets, ...]:
    """Return what the sets are on each tenth of the pictures by the other nine, for those of
    `COVERAGES` that so many can promise."""
    from scipy.stats import beta

    count = len(truths)
    fewest = min(len(train) for train, _ in _folds(count, groups))
    coverages = [one for one in COVERAGES if quantile(fewest, one) <= fewest]
    scores = _true_scores(logits, truths, found.penalty, found.free)
    bounds = np.empty((count, len(coverages)))
    for train, test in _folds(count, groups):
        places = [quantile(len(train), coverage) - 1 for coverage in coverages]
        bounds[test] = np.sort(scores[train])[places]
    sizes = np.empty_like(bounds)
    for part in _chunks(count):
        ranked = -np.sort(-softmax(logits[part]), axis=1)
        ascending = conformal_scores(ranked, found.penalty, found.free)
        inside = ascending[..., None] <= bounds[part, None]
        sizes[part] = np.count_nonzero(inside, axis=1)
    held = np.count_nonzero(scores[:, None] <= bounds, axis=0)
    result = []
    for column, coverage in enumerate(coverages):
        place = quantile(count, coverage)
        low = float(beta.ppf(0.05, place, count + 1 - place))
        measure = metrics.share(int(held[column]), count)
        result.append(Sets(coverage, measure, float(sizes[:, column].mean()), low))
    return tuple(result)


def find_rejected(
    found: Calibration, logits: NDArray[np.float32], groups: NDArray[np.intp] | None = None
) -> Measure:
    """Return how many pictures of each tenth are rejected by the threshold of the others."""
    scores = reject_scores(logits, found.reject_score)
    rejected = sum(
        int(np.count_nonzero(scores[test] < _threshold(scores[train], found.reject_rate)))
        for train, test in _folds(len(scores), groups)
    )
    return metrics.share(rejected, len(scores))


def _threshold(scores: NDArray[np.float64], rate: float) -> float:
    """Return the score that one more such picture is under with at most that probability."""
    place = math.floor((len(scores) + 1) * rate + 1e-9)
    if place < 1:
        raise UsageError(
            f"a reject rate of {rate:g} needs at least {math.ceil(1 / rate - 1 - 1e-9):,} pictures "
            f"whose classes are known; {len(scores):,} could be read"
        )
    return float(np.sort(scores)[place - 1])


def _true_scores(
    logits: NDArray[np.float32], truths: NDArray[np.intp], penalty: float, free: int
) -> NDArray[np.float64]:
    """Return the conformal score (n,) of each picture's truth."""
    scores = np.empty(len(truths))
    for part in _chunks(len(truths)):
        own = softmax(logits[part])
        order = ranking(own)
        ranked = conformal_scores(np.take_along_axis(own, order, 1), penalty, free)
        scores[part] = ranked[order == truths[part, None]]
    return scores


def _likelihood(
    logits: NDArray[np.float32], truths: NDArray[np.intp], temperatures: NDArray[np.float64]
) -> float:
    """Return the mean negative log-likelihood, in nats, at a temperature for each picture."""
    total = 0.0
    for part in _chunks(len(truths)):
        values = logits[part] / temperatures[part, None]
        wanted = np.take_along_axis(values, truths[part, None], 1)
        total += float((reject_scores(values, "energy") - wanted[:, 0]).sum())
    return total / len(truths)


def _error(
    logits: NDArray[np.float32], truths: NDArray[np.intp], temperatures: NDArray[np.float64]
) -> float:
    confidences, right = np.empty(len(truths)), np.empty(len(truths), np.bool_)
    for part in _chunks(len(truths)):
        confidences[part] = softmax(logits[part], temperatures[part, None]).max(axis=1)
        right[part] = logits[part].argmax(axis=1) == truths[part]
    return metrics.calibration_error(metrics.reliability(confidences, right))


def _folds(
    count: int, groups: NDArray[np.intp] | None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Yield for each tenth of the pictures the others and itself, mixed, always in one way, with
    each group in one of them."""
    whole, places = np.unique(np.arange(count) if groups is None else groups, return_inverse=True)
    mixed = np.random.default_rng(0).permutation(len(whole))
    for some in np.array_split(mixed, FOLDS):
        test = some if len(whole) == count else np.flatnonzero(np.isin(places, some))
        yield np.setdiff1d(np.arange(count), test), test


def _chunks(count: int) -> Iterator[slice]:
    return (slice(start, start + CHUNK) for start in range(0, count, CHUNK))
