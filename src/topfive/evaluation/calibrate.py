"""Fit to pictures whose classes are known how a network's logits are read; see `calibration`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from topfive.classification.calibration import TEMPERATURES, Calibration, key, quantile
from topfive.classification.classifier import Classifier, ClassifierOptions
from topfive.classification.options import METHODS, REJECT_RATE, REJECT_SCORES
from topfive.evaluation import (
    calibration_fit,
    familiar_pictures,
    ground_truth,
    metrics,
    near_copies,
)
from topfive.evaluation.calibration_fit import COVERAGES, Sets
from topfive.evaluation.evaluate import EvaluationListener, Trial
from topfive.evaluation.ground_truth import GroundTruth
from topfive.evaluation.metrics import Measure
from topfive.networks import labels, records
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.results import Failure
from topfive.sources.source import Source

FEW = 500  # pictures
AT_BOUND = 1.01
BETTER = 10.0  # points of top-1 accuracy over what is published: too good for new pictures
TOO_SURE = (
    "a calibration by them makes the answers to other pictures too sure; take pictures that it "
    "has not seen"
)


FEWER = "a coverage needs pictures that differ, and they count as more than they are"


@dataclass(frozen=True)
class Calibrated:
    """A calibration and how good it is, measured on pictures that took no part in it.

    `layout` says where the classes of the pictures stand, `num_classes` how many occur.
    `sets` are those of `COVERAGES` that so many pictures can promise, `rejected` is how many
    of the pictures are taken for unlike the others. `remarks` say where care is wanted.
    """

    network: str
    weights: str
    layout: str
    num_classes: int
    calibration: Calibration
    sets: tuple[Sets, ...]
    rejected: Measure
    failures: tuple[Failure, ...]
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, ready for JSON."""
        return {**asdict(self), "failures": [one.to_dict() for one in self.failures]}


def calibrate(
    folder: str | os.PathLike[str],
    network: str | Network | None = None,
    *,
    truth: str | os.PathLike[str] | None = None,
    numbers: str | None = None,
    class_column: str | None = None,
    method: str = METHODS[0],
    reject_score: str = REJECT_SCORES[0],
    reject_rate: float = REJECT_RATE,
    store: bool = True,
    listener: EvaluationListener | None = None,
    **options: Unpack[ClassifierOptions],
) -> Calibrated:
    """Fit a network's calibration to a folder of labelled pictures, and store it for its
    weights, recipe and precision, so that `Classifier` finds it.

    For the folder, `truth`, `numbers` and `class_column` see `ground_truth.read`, for `method`,
    `reject_score` and `reject_rate` see `calibration_fit.fit`; `options` are those of `Classifier`.
    Pictures that cannot be read are left out.

    Raises:
        UsageError: the pictures have no classes or are too few, or an option does not fit.
        WeightsError, EngineError, MissingExtraError: see `Classifier`.
        OutputError: the calibration cannot be stored.
    """
    calibration_fit.check(method, reject_score, reject_rate)
    card = find_network(network)
    listener = listener or EvaluationListener()
    known = ground_truth.read(folder, labels.of(card), truth, numbers, class_column)
    listener.found(known)
    if said := familiar_pictures.by_names(card, known):
        listener.warn(f"{said}; {TOO_SURE}")
    trial = Trial(Classifier(card, throughput=True, **options), known, listener, "logits")
    answers, classifier = list(trial), trial.classifier
    truths = np.array([one.truth for one in answers], np.intp)
    logits = np.array([one.values for one in answers], np.float32)
    logits = logits.reshape(-1, len(classifier.labels))  # where there are none, too
    if said := familiar_pictures.by_contents(card, trial.hashes):
        listener.warn(f"{said}; {TOO_SURE}")
    recipe, precision, weights = str(classifier.recipe), classifier.precision, classifier.weights
    groups = _find_groups(known, [one.source for one in answers], classifier.max_pixels)
    found = calibration_fit.fit(
        logits, truths, method, reject_score, reject_rate,
        recipe=recipe, precision=precision, groups=groups,
    )  # fmt: skip
    sets = calibration_fit.find_sets(found, logits, truths, groups)
    rejected = calibration_fit.find_rejected(found, logits, groups)
    if copies := near_copies.count_copies(groups):
        listener.warn(f"{copies:,} pictures are {near_copies.TOGETHER}; {FEWER}")
    num_classes, failures = len(np.unique(truths)), tuple(trial.failures)
    result = Calibrated(
        card.name, weights, known.layout, num_classes, found, sets, rejected, failures, ()
    )
    right = metrics.share(int((logits.argmax(axis=1) == truths).sum()), len(truths))
    remarks = tuple(_remark_on(result, card, right, len(classifier.labels)))
    if store:
        name, entry = key(precision, recipe), found.to_dict()
        records.update(card.name, weights, records.CALIBRATIONS, name, entry)
    return replace(result, remarks=remarks)


def _find_groups(pictures: GroundTruth, names: Sequence[str], max_pixels: int) -> NDArray[np.intp]:
    """Return the groups of near-copies (n,) among the named pictures."""
    places = {name: place for place, name in enumerate(names)}
    order: list[int] = []

    def find() -> Iterator[Source]:
        for source, _ in pictures:
            if (place := places.get(source.name)) is not None:
                order.append(place)
                yield source

    read = near_copies.read(find(), max_pixels)
    thumbnails = np.zeros((len(names), *read.shape[1:]), np.uint8)
    thumbnails[order] = read
    return near_copies.group(thumbnails)


def _remark_on(result: Calibrated, network: Network, right: Measure, known: int) -> Iterator[str]:
    found, sets, num_classes = result.calibration, result.sets, result.num_classes
    count = found.pictures
    if said := metrics.doubt(right, known):
        yield said
    if network.top1 is not None and 100 * right.low > network.top1 + BETTER:
        yield (
            f"{right.value:.1%} of the first answers are right, and {network.top1:g} % is "
            "published: the network may have learned from these pictures, and a calibration by "
            "them is then wrong for others"
        )
    for coverage in COVERAGES:
        if quantile(count, coverage) > count:
            yield f"{count:,} pictures are too few for a coverage of {coverage:.0%}"
    if sets and count < FEW:
        last = sets[-1]
        yield (
            f"{count:,} pictures are few: sets that are asked to hold the truth of "
            f"{last.coverage:.0%} may hold it of {last.low:.0%} only; {FEW:,} or more are better"
        )
    if num_classes < known:
        yield (
            f"the pictures show {num_classes:,} of the {known:,} classes; all that is said here "
            "is of pictures like them, in such a mix"
        )
    low, high = TEMPERATURES
    if found.temperature < low * AT_BOUND:
        yield (
            f"the temperature is the lowest that is tried, {low:g}: the network is right on "
            "nearly all of the pictures, and more difficult ones are wanted"
        )
    if found.temperature > high / AT_BOUND:
        yield (
            f"the temperature is the highest that is tried, {high:g}: the answers hardly fit "
            "the classes; are these the right ones?"
        )
