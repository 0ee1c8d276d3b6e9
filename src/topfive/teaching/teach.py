"""A folder with a folder of pictures for each class to a network that tells these classes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import Classifier, ClassifierOptions
from topfive.errors import UsageError
from topfive.evaluation import metrics
from topfive.evaluation.metrics import Confusion, Measure
from topfive.networks import lessons
from topfive.networks.cards import Network
from topfive.networks.lessons import Lessons
from topfive.networks.taught_cards import Made
from topfive.results import Failure, Listener
from topfive.teaching import regression, taught_networks
from topfive.teaching.collection import Collected, Log
from topfive.teaching.options import SPLIT
from topfive.teaching.regression import Fit, Tried
from topfive.teaching.teaching_request import TeachingRequest


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


@dataclass(frozen=True)
class Changes:
    """How a folder's pictures differ from those that a network was taught with before."""

    new: int
    gone: int
    changed: int


@dataclass(frozen=True)
class Teaching:
    """A network that was taught, in its `folder`, and how that went.

    `network` is the backbone's name; `pictures` were taught, `held_out` were not. `known` of them
    had their features already, and `computed` had not. `strength` is that of the
    regularisation, of those `tried`. The `seconds` are of the `features`, of the `fitting`, of
    `all`. `changes` are those since the network that was replaced.
    """

    folder: str
    network: str
    recipe: str
    classes: tuple[str, ...]
    pictures: int
    held_out: int
    accuracy: Accuracy
    strength: float
    tried: tuple[Tried, ...]
    known: int
    computed: int
    seconds: Mapping[str, float]
    changes: Changes | None
    warnings: tuple[str, ...]
    failures: tuple[Failure, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {
            **asdict(self),
            "accuracy": self.accuracy.to_dict(),
            "failures": [one.to_dict() for one in self.failures],
        }


def teach(
    folder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    network: str | Network | None = None,
    *,
    validation: str | os.PathLike[str] | None = None,
    split: float = SPLIT,
    seed: int = 0,
    force: bool = False,
    listener: Listener | None = None,
    **options: Unpack[ClassifierOptions],
) -> Teaching:
    """Teach a network the classes of a folder and write it to the folder `out`.

    `folder` holds a folder of pictures for each class; see `class_folders.read`. The accuracy is
    that on the pictures in `validation`, a folder like it, else on the share `split` (0 to 1) of
    each class; neither is taught. With a `split` of 0 it is that of cross-validation. The same
    `seed` gives the same parts. With `force` a network in `out` is replaced. `options` are those
    of `Classifier`. Pictures that cannot be read are left out.

    Raises:
        UsageError: there are fewer than two classes, `out` is taken, an option does not fit.
        WeightsError, EngineError, MissingExtraError: see `Classifier`, `regression.fit`.
        OutputError: the network cannot be written; what was there stays.
    """
    start = perf_counter()
    request = TeachingRequest(folder, Path(out), validation, split, seed, Log(listener))
    request.check(force)
    before: Lessons | None = None
    with suppress(UsageError):  # none, or one that cannot be read
        before = lessons.read(request.out)
    backbone = taught_networks.open_backbone(network, **options)
    collected = request.collect(backbone[0])
    head, result = _fit(request, backbone[0], collected)
    made: Made = {
        **request.made(),
        "pictures": result.pictures,
        "held_out": result.held_out,
        "accuracy": asdict(result.accuracy.all),
        "strength": result.strength,
        "tried": [asdict(one) for one in result.tried],
        "seconds": dict(result.seconds),
    }
    taught_networks.write(request.out, backbone, collected, head, made)
    differing = None if before is None else changes(before, collected.lessons)
    seconds = {**result.seconds, "all": perf_counter() - start}
    return replace(result, seconds=seconds, changes=differing)


def _fit(
    request: TeachingRequest, classifier: Classifier, collected: Collected
) -> tuple[NDArray[np.float32], Teaching]:
    """Return the layer that tells the classes of pictures, and how good it is."""
    classes, known = collected.classes, collected.lessons
    if len(classes) < 2:
        raise UsageError(
            f"{request.found.folder}: pictures of {len(classes)} class are left; "
            "expected two classes or more"
        )
    start, train = perf_counter(), known.where(~known.held)
    groups = collected.groups[~known.held]
    fit = regression.fit(
        train.features, train.truths, len(classes), seed=request.seed, groups=groups
    )
    accuracy = _measure(classes, known, fit)
    return fit.head, Teaching(
        str(request.out),
        classifier.network.name,
        str(classifier.recipe),
        classes,
        len(train),
        len(known) - len(train),
        accuracy,
        fit.strength,
        fit.folds,
        collected.known,
        collected.computed,
        {"features": collected.seconds, "fitting": perf_counter() - start},
        None,
        tuple(request.log.warnings),
        tuple(request.log.failures),
    )


def _measure(classes: Sequence[str], lessons: Lessons, fit: Fit) -> Accuracy:
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


def changes(before: Lessons, after: Lessons) -> Changes:
    """Return how the pictures of two teachings differ, by their names and contents."""
    old = dict(zip(before.names, before.sha256, strict=True))
    new = dict(zip(after.names, after.sha256, strict=True))
    changed = sum(old.get(name, sha256) != sha256 for name, sha256 in new.items())
    return Changes(len(new.keys() - old.keys()), len(old.keys() - new.keys()), changed)
