"""How good a fitted layer is: on pictures that are held out, or else by cross-validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from topfive.evaluation import metrics
from topfive.evaluation.metrics import Confusion, Measure
from topfive.networks.lessons import Lessons
from topfive.teaching import regression
from topfive.teaching.regression import Fit


@dataclass(frozen=True)
class ClassAccuracy:
    """A class, how many pictures it was taught with, and how many of the others were right."""

    name: str
    pictures: int
    accuracy: Measure


@dataclass(frozen=True)
class Accuracy:
    """How many first answers are right, in all and of each class, and what was taken for what,
    the most frequent first. It is of pictures that were `held_out`, or else of
    cross-validation."""

    held_out: bool
    all: Measure
    classes: tuple[ClassAccuracy, ...]
    confusions: tuple[Confusion, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON, with the classes' names."""
        names = [one.name for one in self.classes]
        named = [
            {"truth": names[one.truth], "predicted": names[one.predicted], "count": one.count}
            for one in self.confusions
        ]
        return {**asdict(self), "confusions": named}


def measure(classes: Sequence[str], lessons: Lessons, fit: Fit) -> Accuracy:
    """Return how good a fit is on the pictures that are held out, or by cross-validation."""
    held, train = lessons.where(lessons.held), lessons.where(~lessons.held)
    if len(held):
        truths = held.truths
        answers = regression.probabilities(fit.head, held.features).argmax(axis=1)
    else:
        truths, answers = train.truths[: len(fit.answers)], fit.answers
    size = len(classes)
    counts = np.bincount(train.truths, minlength=size).tolist()
    totals = np.bincount(truths, minlength=size).tolist()
    hits = np.bincount(truths[truths == answers], minlength=size).tolist()
    return Accuracy(
        bool(len(held)),
        metrics.share(sum(hits), len(truths)),
        tuple(
            ClassAccuracy(name, count, metrics.share(right, total))
            for name, count, right, total in zip(classes, counts, hits, totals, strict=True)
        ),
        metrics.confusions(truths, answers),
    )
