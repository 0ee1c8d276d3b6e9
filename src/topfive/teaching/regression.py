"""Features and classes to the layer that tells the classes: a regularised logistic regression.

The scaling of the features is folded into the layer, so that a network needs nothing else.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.engines.run import softmax
from topfive.errors import UsageError
from topfive.system import extras

# scikit-learn's C, from strong regularisation to weak. Each fit starts from the one before.
STRENGTHS = (1e-3, 1e-2, 1e-1, 1.0, 10.0)
ALONE = 1e-1  # where a class has one picture, and nothing can be tried on another
FOLDS = 3
STEPS = 1000
TOLERANCE = 1e-4
SMALLEST = 1e-2  # of the mean deviation: a feature that hardly moves is not blown up


@dataclass(frozen=True)
class Tried:
    """What a strength gave on pictures that took no part: the share that is right (0 to 1) and
    the mean negative log-likelihood of the truths, in nats."""

    strength: float
    accuracy: float
    loss: float


@dataclass(frozen=True)
class Fit:
    """A fitted layer: `head` (features + 1, classes), the last row is added; the `strength` of
    its regularisation; what each strength gave in cross-validation, and with the chosen one
    the first answers (n,) to the pictures by the fits they took no part in. Both are empty
    where nothing was tried.
    """

    head: NDArray[np.float32]
    strength: float
    folds: tuple[Tried, ...]
    answers: NDArray[np.intp]


def prepare() -> None:
    """Import what `fit` needs, which takes a second: in a thread, while features come."""
    import sklearn.linear_model
    import sklearn.model_selection  # noqa: F401


def fit(
    features: NDArray[np.float32],
    truths: NDArray[np.intp],
    num_classes: int,
    *,
    strength: float | None = None,
    seed: int = 0,
    weights: NDArray[np.floating[Any]] | None = None,
    groups: NDArray[np.intp] | None = None,
) -> Fit:
    """Return the layer that tells the classes `truths` (n,) by `features` (n, d).

    Without a `strength` (scikit-learn's C) the one under which the truths are most likely is
    chosen by cross-validation, stratified, in `FOLDS` parts or in as many as the smallest class
    has pictures. Pictures of one of the `groups` (n,) are in one part. `weights` (n,) say how much
    each picture counts; without them all classes count the same, however many pictures they have.

    Raises:
        UsageError: there are fewer than two classes, or one without a picture.
        MissingExtraError: scikit-learn is not installed.
    """
    extras.require("teach", "teaching")
    from threadpoolctl import threadpool_limits

    counts = np.bincount(truths, minlength=num_classes)
    if num_classes < 2 or len(counts) > num_classes or counts.min() < 1:
        raise UsageError("two or more classes are needed, each with a picture at least")
    if weights is None:
        weights = (len(truths) / (num_classes * counts))[truths]
    tried: tuple[Tried, ...] = ()
    answers = np.empty(0, np.intp)
    # Products so small are slower in several threads, by far where others work beside them.
    with threadpool_limits(1, user_api="blas"):
        points, scale, mean, turn = _points(features)
        if strength is None:
            strength, tried, answers = _search(points, truths, weights, seed, groups)
        layer = next(_layers(points, truths, weights, (strength,)))
    kernel = (layer[:-1] if turn is None else turn @ layer[:-1]) / scale[:, None]
    head = np.vstack([kernel, layer[-1] - mean @ kernel])
    return Fit(head.astype(np.float32), strength, tried, answers)


def probabilities(
    head: NDArray[np.floating[Any]], features: NDArray[np.floating[Any]]
) -> NDArray[np.float64]:
    """Return the probabilities (n, classes) that a head gives to features (n, d)."""
    return softmax(features.astype(np.float64) @ head[:-1] + head[-1])


def _points(
    features: NDArray[np.float32],
) -> tuple[Any, NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """Return standardised features (n, m), what they were divided by and had subtracted, (d,)
    each, and, where there are fewer pictures than features, what turns m numbers back to d.

    The regularisation is the same in all directions, so only those count that pictures lie in.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = features.std(axis=0, dtype=np.float64)
    least = SMALLEST * deviation.mean()
    scale = np.maximum(deviation, least) if least else np.ones_like(deviation)
    points = (features - mean) / scale
    if len(points) >= points.shape[1]:
        return points, scale, mean, None
    turn, turned = np.linalg.qr(points.T)
    return turned.T, scale, mean, turn


def _search(
    points: NDArray[np.float64], truths: NDArray[np.intp],
    weights: NDArray[np.floating[Any]], seed: int, groups: NDArray[np.intp] | None,
) -> tuple[float, tuple[Tried, ...], NDArray[np.intp]]:  # fmt: skip
    """Return the best strength, what each of them gave, and the answers of the best."""
    parts = _parts(truths, seed, groups)
    if not parts:
        return ALONE, (), np.empty(0, np.intp)
    own = np.empty((len(STRENGTHS), len(truths)))
    answers = np.empty((len(STRENGTHS), len(truths)), np.intp)
    for train, test in parts:
        layers = _layers(points[train], truths[train], weights[train], STRENGTHS)
        for place, layer in enumerate(layers):
            found = probabilities(layer, points[test])
            answers[place, test] = found.argmax(axis=1)
            own[place, test] = found[np.arange(len(test)), truths[test]]
    losses = -np.log(np.maximum(own, 1e-12)).mean(axis=1)
    hits = (answers == truths).mean(axis=1)
    best = int(losses.argmin())
    tried = tuple(map(Tried, STRENGTHS, hits.tolist(), losses.tolist()))
    return STRENGTHS[best], tried, answers[best]


def _parts(
    truths: NDArray[np.intp], seed: int, groups: NDArray[np.intp] | None
) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Return the places to fit with and those to try on, for each fold; none where a class is one
    group."""
    from sklearn.model_selection import StratifiedKFold

    if groups is None or len(np.unique(groups)) == len(groups):
        num_folds = min(FOLDS, int(np.bincount(truths).min()))
        if num_folds < 2:
            return []
        folds = StratifiedKFold(num_folds, shuffle=True, random_state=seed)
        return list(folds.split(truths, truths))
    least = min(len(np.unique(groups[truths == truth])) for truth in np.unique(truths))
    if least < 2:
        return []
    fold = group_folds(truths, groups, min(FOLDS, least), seed)
    found = [(np.flatnonzero(fold != one), np.flatnonzero(fold == one)) for one in np.unique(fold)]
    classes = len(np.unique(truths))
    return found if all(len(np.unique(truths[train])) == classes for train, _ in found) else []


def group_folds(
    truths: NDArray[np.integer], groups: NDArray[np.intp], num_folds: int, seed: int
) -> NDArray[np.intp]:
    """Return each picture's fold (n,): groups stay together, and each class is spread evenly."""
    _, places = np.unique(groups, return_inverse=True)
    _, truths = np.unique(truths, return_inverse=True)
    table = np.zeros(
        (places.max() + 1, truths.max() + 1), np.intp
    )  # pictures of groups and classes
    np.add.at(table, (places, truths), 1)
    mixed = np.random.default_rng(seed).permutation(len(table))
    filled = np.zeros((num_folds, table.shape[1]), np.intp)
    fold = np.empty(len(table), np.intp)
    for one in sorted(mixed, key=lambda place: -table[place].sum()):
        held = table[one] > 0
        fold[one] = min(
            range(num_folds), key=lambda part: (filled[part, held].sum(), filled[part].sum())
        )
        filled[fold[one]] += table[one]
    return fold[places]


def _layers(
    points: NDArray[np.float64], truths: NDArray[np.intp],
    weights: NDArray[np.floating[Any]], strengths: tuple[float, ...],
) -> Iterator[NDArray[np.float64]]:  # fmt: skip
    """Yield a layer (m + 1, classes) for each strength; two classes have opposite columns."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(max_iter=STEPS, tol=TOLERANCE, warm_start=True)
    for strength in strengths:
        model.set_params(C=strength)
        with warnings.catch_warnings():
            # One that stops early is measured like any other, on pictures that are apart.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(points, truths, sample_weight=weights)
        layer = np.vstack([model.coef_.T, model.intercept_])
        yield np.hstack([-layer / 2, layer / 2]) if layer.shape[1] == 1 else layer
