"""Fit to pictures whose classes are known how a network's logits are read; see `calibration`."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.classification.calibration import (
    METHODS,
    REJECT_SCORES,
    TEMPERATURES,
    Calibration,
    key,
    quantile,
)
from topfive.classification.classifier import Classifier
from topfive.errors import EngineError
from topfive.evaluation import calibration_fit, familiar_pictures, ground_truth, metrics
from topfive.evaluation.calibration_fit import COVERAGES, REJECT_RATE, Sets
from topfive.evaluation.evaluate import EvaluationListener
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
    method: str = METHODS[0],
    reject_score: str = REJECT_SCORES[0],
    reject_rate: float = REJECT_RATE,
    store: bool = True,
    listener: EvaluationListener | None = None,
    **options: Any,
) -> Calibrated:
    """Fit a network's calibration to a folder of labelled pictures, and store it for its
    weights, recipe and precision, so that `Classifier` finds it.

    For the folder, `truth` and `numbers` see `ground_truth.read`, for `method`, `reject_score`
    and `reject_rate` see `fitting.fit`; `options` are those of `Classifier`. Pictures that
    cannot be read are left out.

    Raises:
        UsageError: the pictures have no classes or are too few, or an option does not fit.
        WeightsError, EngineError, MissingExtraError: see `Classifier`.
        OutputError: the calibration cannot be stored.
    """
    calibration_fit.check(method, reject_score, reject_rate)
    card = find_network(network)
    listener = listener or EvaluationListener()
    known = ground_truth.read(folder, labels.of(card), truth, numbers)
    listener.found(known)
    if said := familiar_pictures.by_names(card, known):
        listener.warn(f"{said}; {TOO_SURE}")
    classifier = Classifier(card, throughput=True, **options)
    listener.begin(classifier)
    hashes: list[str | None] = []
    logits, truths, failures = responses(classifier, known, listener, hashes.append)
    if said := familiar_pictures.by_contents(card, hashes):
        listener.warn(f"{said}; {TOO_SURE}")
    found = calibration_fit.fit(
        logits, truths, method=method, reject_score=reject_score, reject_rate=reject_rate,
        recipe=str(classifier.recipe), precision=classifier.precision,
    )  # fmt: skip
    sets = calibration_fit.find_sets(found, logits, truths)
    num_classes = len(np.unique(truths))
    right = metrics.share(int((logits.argmax(axis=1) == truths).sum()), len(truths))
    result = Calibrated(
        card.name, classifier.weights, known.layout, num_classes, found, sets,
        calibration_fit.find_rejected(found, logits), failures,
        tuple(_remarks(card, right, found, sets, num_classes, len(classifier.labels))),
    )  # fmt: skip
    if store:
        name = key(found.precision, found.recipe)
        records.update(card.name, classifier.weights, records.CALIBRATIONS, name, found.to_dict())
    return result


def responses(
    classifier: Classifier, pictures: Iterable[tuple[Source, int]], listener: EvaluationListener,
    recognise: Callable[[str | None], None] = lambda _sha256: None,
) -> tuple[NDArray[np.float32], NDArray[np.intp], tuple[Failure, ...]]:  # fmt: skip
    """Return the logits (n, classes) and the classes (n,) of the pictures that can be read, and
    the failures of the others; `recognise` is given the sha256 of each that can.

    Raises:
        EngineError: logits are no numbers.
    """
    waiting: deque[int] = deque()

    def draw() -> Iterator[Source]:
        for source, index in pictures:
            waiting.append(index)
            yield source

    logits: list[NDArray[np.float32]] = []
    truths: list[int] = []
    failures: list[Failure] = []
    for source, response in classifier.responses(draw(), output="logits"):
        truth, values = waiting.popleft(), response.values
        if isinstance(values, Failure):
            failures.append(values)
            listener.add(source.name, values)
            continue
        if not np.isfinite(values).all():
            raise EngineError(
                f"{classifier.network.name} in {classifier.precision} answers {source.name} with "
                "no numbers (NaN); another precision or device may do"
            )
        logits.append(values)
        truths.append(truth)
        recognise(response.sha256)
        listener.add(source.name, None)
    shape = (len(logits), len(classifier.labels))
    return np.asarray(logits, np.float32).reshape(shape), np.array(truths, np.intp), tuple(failures)


def _remarks(
    network: Network, right: Measure, found: Calibration, sets: tuple[Sets, ...],
    num_classes: int, known: int,
) -> Iterator[str]:  # fmt: skip
    count = found.pictures
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
