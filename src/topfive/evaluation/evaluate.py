"""Measure networks on pictures whose classes are known."""

from __future__ import annotations

import gc
import logging
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import product
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topfive.classification.classifier import Classifier
from topfive.errors import EngineError, UsageError
from topfive.evaluation import familiar_pictures, ground_truth, metrics
from topfive.evaluation.evaluations import BEST, Comparison, Evaluation, Judgement, comparison_of
from topfive.evaluation.ground_truth import GroundTruth
from topfive.networks import labels
from topfive.networks.cards import Network
from topfive.networks.find import find_network
from topfive.networks.labels import top_predictions
from topfive.results import Failure
from topfive.sources.source import Source
from topfive.system.memory import peak, reset_peak

FLATTERS = "the accuracy on such pictures flatters; others give the true one"

log = logging.getLogger("topfive")


class EvaluationListener:
    """Hears how an evaluation goes on; what is of interest is overridden."""

    def found(self, truth: GroundTruth) -> None:
        """The pictures are known, and the files that belong to no class."""

    def begin(self, classifier: Classifier) -> None:
        """A network is ready for the first picture."""

    def add(self, source: str, failure: Failure | None) -> None:
        """A picture was judged, or could not be."""

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
    restrict: bool = False,
    listener: EvaluationListener | None = None,
    **options: Any,
) -> Comparison:
    """Measure networks (none: the default) on a folder of labelled pictures, one after the
    other: each in every precision with every recipe.

    For the folder, `truth` and `numbers` see `ground_truth.read`, for `restrict` see `judge`;
    `options` are those of `Classifier`.

    Raises:
        UsageError: the pictures have no classes, or an option is unknown or does not fit.
        WeightsError, EngineError, MissingExtraError: see `Classifier`; all before the first
            picture.
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
    found = ground_truth.read(folder, labels.of(cards[0]), truth, numbers)
    listener.found(found)
    for card in dict.fromkeys(cards):
        if said := familiar_pictures.by_names(card, found):
            listener.warn(f"{said}; {FLATTERS}")

    def load(card: Network, precision: str, recipe: str) -> Classifier:
        return Classifier(card, precision=precision, recipe=recipe, throughput=True, **options)

    for run in runs if len(runs) > 1 else ():
        load(*run)  # what is in its way shall be said now, not after hours with those before it
    evaluations = [_one(load, run, found, restrict, listener) for run in runs]
    return comparison_of(os.fsdecode(folder), found.layout, len(found.classes), evaluations)


def _one(
    load: Callable[..., Classifier], run: Sequence[Any], found: GroundTruth, restrict: bool,
    listener: EvaluationListener,
) -> Evaluation:  # fmt: skip
    gc.collect()  # the network before it
    reset_peak()
    classifier = load(*run)
    listener.begin(classifier)
    hashes: list[str | None] = []
    classes = found.classes if restrict else None
    evaluation = judge(classifier, found, classes, listener.add, hashes.append)
    if said := familiar_pictures.by_contents(classifier.network, hashes):
        listener.warn(f"{said}; {FLATTERS}")
    return evaluation


def judge(
    classifier: Classifier,
    pictures: Iterable[tuple[Source, int]],
    classes: Sequence[int] | None = None,
    listen: Callable[[str, Failure | None], None] = lambda _source, _failure: None,
    recognise: Callable[[str | None], None] = lambda _sha256: None,
) -> Evaluation:
    """Measure a network on pictures, each with the index of its class.

    Without `classes` it may answer with all that it knows. With them these alone count: the
    best of them is the first answer, and their probabilities add up to 1. What a picture's
    answer was is kept, not the probabilities of all classes. `recognise` is given the sha256
    of each picture that was judged.

    Raises:
        EngineError: the network's answers are no numbers.
    """
    allowed = np.full(len(classifier.labels), classes is None)
    allowed[list(classes or ())] = True
    truths: deque[int] = deque()

    def draw() -> Iterator[Source]:
        for source, truth in pictures:
            truths.append(truth)
            yield source

    judgements: list[Judgement] = []
    failures: list[Failure] = []
    start = perf_counter()
    for source, response in classifier.responses(draw()):
        truth, values = truths.popleft(), response.values
        if isinstance(values, Failure):
            failures.append(values)
            listen(source.name, values)
        else:
            judgements.append(_judgement(source.name, truth, values, allowed, classifier))
            recognise(response.sha256)
            listen(source.name, None)
    seconds = perf_counter() - start
    return _summary(classifier, judgements, failures, classes is not None, seconds)


def _judgement(
    source: str, truth: int, values: NDArray[np.float32], allowed: NDArray[np.bool_],
    classifier: Classifier,
) -> Judgement:  # fmt: skip
    total = float(values[allowed].sum(dtype=np.float64))
    if not np.isfinite(total):
        raise EngineError(
            f"{classifier.network.name} in {classifier.precision} answers {source!r} with no "
            "numbers (NaN); another precision or device may do"
        )
    if not allowed.all():
        # Behind all others, also where these came out as 0.
        values = np.where(allowed, values / total if total else values, np.float32(-1))
    at = values[truth]
    better = np.count_nonzero(values > at) + np.count_nonzero(values[:truth] == at)
    best = top_predictions(values, classifier.labels, min(BEST, int(allowed.sum())))
    return Judgement(source, truth, best, int(better) + 1, float(at))


def _summary(
    classifier: Classifier, judgements: list[Judgement], failures: list[Failure],
    restricted: bool, seconds: float,
) -> Evaluation:  # fmt: skip
    truths = np.array([one.truth for one in judgements], np.intp)
    ranks = np.array([one.rank for one in judgements], np.intp)
    predicted = np.array([one.predictions[0].index for one in judgements], np.intp)
    confidences = np.array([one.predictions[0].probability for one in judgements])
    bins = metrics.reliability(confidences, ranks == 1)
    return Evaluation(
        classifier.network,
        str(classifier.recipe),
        classifier.precision,
        classifier.weights,
        classifier.labels,
        restricted,
        tuple(judgements),
        tuple(failures),
        metrics.share(int(np.count_nonzero(ranks <= 1)), len(judgements)),
        metrics.share(int(np.count_nonzero(ranks <= BEST)), len(judgements)),
        metrics.by_class(truths, ranks, classifier.labels),
        metrics.confusions(truths, predicted),
        metrics.calibration_error(bins),
        bins,
        seconds,
        peak(),
    )
