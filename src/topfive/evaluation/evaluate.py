"""Measure networks on pictures whose classes are known."""

from __future__ import annotations

import gc
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import product
from time import perf_counter
from typing import NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import Classifier, PictureOptions
from topfive.classification.pipeline import NOT_FINITE
from topfive.errors import EngineError, UsageError
from topfive.evaluation import familiar_pictures, ground_truth, metrics
from topfive.evaluation.evaluations import BEST, Comparison, Evaluation, Judgement, comparison_of
from topfive.evaluation.ground_truth import GroundTruth
from topfive.networks import labels
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.labels import Label, top_predictions
from topfive.results import Failure, Listener
from topfive.system.memory import peak, reset_peak

FLATTERS = "the accuracy on such pictures flatters; others give the true one"

log = logging.getLogger("topfive")


class EvaluationListener(Listener):
    """Hears how an evaluation goes on, too."""

    def found(self, truth: GroundTruth) -> None:
        """The pictures are known, and the files that belong to no class."""

    def ready(self, classifier: Classifier) -> None:
        """A network is ready for the first picture."""

    def warn(self, text: str) -> None:
        """What is measured is less true than it looks."""
        log.warning("%s", text)


def evaluate(
    folder: str | os.PathLike[str],
    networks: Iterable[str | Network] = (),
    *,
    recipes: Iterable[str] = ("default",),
    precisions: Iterable[str] = ("f32",),
    truth: str | os.PathLike[str] | None = None,
    numbers: str | None = None,
    class_column: str | None = None,
    restrict: bool = False,
    listener: EvaluationListener | None = None,
    **options: Unpack[PictureOptions],
) -> Comparison:
    """Measure networks (none: the default) on a folder of labelled pictures, one after the
    other: each in every precision with every recipe.

    For the folder, `truth`, `numbers` and `class_column` see `ground_truth.read`, for `restrict`
    see `judge`; `options` are those of `Classifier`.

    Raises:
        UsageError: the pictures have no classes, or an option is unknown or does not fit.
        WeightsError, EngineError, MissingExtraError: see `Classifier`, before the first picture.
    """
    cards = [find_network(one) for one in networks] or [find_network()]
    runs = list(dict.fromkeys(product(cards, precisions, recipes)))
    if not runs:
        raise UsageError("name a precision and a recipe")
    if len({card.name for card in cards}) > 1 and options.get("weights") is not None:
        raise UsageError("weights are those of one network; received several networks")
    if len({labels.of(card) for card in cards}) > 1:
        names = ", ".join(card.name for card in cards)
        raise UsageError(f"networks with the same classes can be compared; received {names}")
    listener = listener or EvaluationListener()
    found = ground_truth.read(folder, labels.of(cards[0]), truth, numbers, class_column)
    listener.found(found)
    for card in dict.fromkeys(cards):
        if said := familiar_pictures.by_names(card, found):
            listener.warn(f"{said}; {FLATTERS}")
    loads = [
        partial(Classifier, card, precision=precision, recipe=recipe, throughput=True, **options)
        for card, precision, recipe in runs
    ]
    for load in loads if len(runs) > 1 else ():
        load()  # what is in its way shall be said now, not after hours with those before it
    evaluations = [_measure(load, found, restrict, listener) for load in loads]
    return comparison_of(os.fsdecode(folder), found.layout, len(found.classes), evaluations)


def _measure(
    load: Callable[[], Classifier], found: GroundTruth, restrict: bool, listener: EvaluationListener
) -> Evaluation:
    gc.collect()  # the network before it
    reset_peak()
    classifier = load()
    classifier.drafts = False  # what is measured is exact, whatever it costs
    trial = Trial(classifier, found, listener)
    evaluation = judge(trial, found.classes if restrict else None)
    if said := familiar_pictures.by_contents(trial.classifier.network, trial.hashes):
        listener.warn(f"{said}; {FLATTERS}")
    return evaluation


class Answered(NamedTuple):
    """A picture's name, the index of its class, and what a network answers: (classes,)."""

    source: str
    truth: int
    values: NDArray[np.float32]


@dataclass
class Trial:
    """A network on labelled pictures, with an `output` of `Classifier.responses`.

    Iterating yields what is answered to those that can be read. `hashes` are then the sha256 of
    these, in their order, and `failures` are the others'.
    """

    classifier: Classifier
    pictures: GroundTruth
    listener: EvaluationListener = field(default_factory=EvaluationListener)
    output: str = "probabilities"
    hashes: list[str | None] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)

    def __iter__(self) -> Iterator[Answered]:
        """Raise an `EngineError` where the answers are no numbers."""
        sources = (source for source, _ in self.pictures)
        self.listener.ready(self.classifier)
        self.listener.begin(len(self.pictures))
        for source, response in self.classifier.responses(sources, output=self.output):
            values = response.values
            if isinstance(values, Failure):
                if values.kind == NOT_FINITE:
                    raise EngineError(
                        f"{self.classifier.network.name} in {self.classifier.precision} answers "
                        f"{source.name!r} with no numbers (NaN); another precision or device may do"
                    )
                self.failures.append(values)
                self.listener.add(source.name, values)
                continue
            self.hashes.append(response.sha256)
            yield Answered(source.name, self.pictures.truths[source.name], values)
            self.listener.add(source.name, None)
        self.listener.end()


def judge(trial: Trial, classes: Sequence[int] | None = None) -> Evaluation:
    """Measure a network on labelled pictures.

    Without `classes` it may answer with all that it knows. With them these alone count: the
    best of them is the first answer, and their probabilities add up to 1. What a picture's
    answer was is kept, not the probabilities of all classes.

    Raises:
        EngineError: the network's answers are no numbers.
    """
    labels = trial.classifier.labels
    allowed = np.full(len(labels), classes is None)
    allowed[list(classes or ())] = True
    start = perf_counter()
    judgements = tuple(_judge(answered, allowed, labels) for answered in trial)
    seconds, one = perf_counter() - start, trial.classifier
    truths = np.array([one.truth for one in judgements], np.intp)
    ranks = np.array([one.rank for one in judgements], np.intp)
    predicted = np.array([one.predictions[0].index for one in judgements], np.intp)
    confidences = np.array([one.predictions[0].probability for one in judgements])
    bins = metrics.reliability(confidences, ranks == 1)
    network = one.network, str(one.recipe), one.precision, one.weights, labels
    answers = classes is not None, judgements, tuple(trial.failures)
    top1, top5 = (metrics.share(int((ranks <= best).sum()), len(ranks)) for best in (1, BEST))
    by_class = metrics.by_class(truths, ranks, labels), metrics.confusions(truths, predicted)
    calibration = metrics.calibration_error(bins), bins
    return Evaluation(*network, *answers, top1, top5, *by_class, *calibration, seconds, peak())


def _judge(answered: Answered, allowed: NDArray[np.bool_], labels: tuple[Label, ...]) -> Judgement:
    source, truth, values = answered
    if not allowed.all():
        total = float(values[allowed].sum(dtype=np.float64))
        # Behind all others, also where these came out as 0.
        values = np.where(allowed, values / total if total else values, np.float32(-1))
    at = values[truth]
    better = np.count_nonzero(values > at) + np.count_nonzero(values[:truth] == at)
    best = top_predictions(values, labels, min(BEST, int(allowed.sum())))
    return Judgement(source, truth, best, int(better) + 1, float(at))
