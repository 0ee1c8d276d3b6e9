"""What was measured of networks on pictures whose classes are known, and what differs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from topfive.evaluation import metrics
from topfive.evaluation.metrics import Bin, ClassResult, Confusion, Measure
from topfive.networks.cards import Network
from topfive.networks.labels import Label
from topfive.results import Failure, Prediction

BEST = 5


@dataclass(frozen=True)
class Judgement:
    """The answer to one picture beside its truth, a class's index.

    `predictions` are the five best, `rank` is the truth's place among all answers, from 1,
    and `probability` (0 to 1) the truth's.
    """

    source: str
    truth: int
    predictions: tuple[Prediction, ...]
    rank: int
    probability: float

    @property
    def right(self) -> bool:
        """Whether the first answer is the truth."""
        return self.rank == 1


@dataclass(frozen=True)
class Evaluation:
    """What was measured of one network.

    `recipe` says how pictures were prepared, `weights` is the hash of the weight file;
    `restricted` whether only the classes that the pictures show could be answered.
    `calibration_error` (0 to 1) is the expected one over the `bins`. `seconds` is the time
    for all pictures, `memory` the process's peak resident memory meanwhile, in bytes.
    """

    network: Network
    recipe: str
    precision: str
    weights: str
    labels: tuple[Label, ...]
    restricted: bool
    judgements: tuple[Judgement, ...]
    failures: tuple[Failure, ...]
    top1: Measure
    top5: Measure
    classes: tuple[ClassResult, ...]
    confusions: tuple[Confusion, ...]
    calibration_error: float
    bins: tuple[Bin, ...]
    seconds: float
    memory: int

    @property
    def suffix(self) -> str:
        """What stands after the network's name: the precision where it is not float32."""
        return "" if self.precision == "f32" else f" {self.precision}"

    @property
    def name(self) -> str:
        """The network's name, with the precision where it is not float32."""
        return self.network.name + self.suffix

    @property
    def beside_published(self) -> tuple[tuple[str, float | None, Measure], ...]:
        """The accuracies: their names, what is published in percent, and what was measured."""
        one = self.network
        return ("top-1", one.top1, self.top1), ("top-5", one.top5, self.top5)

    def find_worst(self, number: int) -> list[Judgement]:
        """Return the `number` wrong judgements whose first answer was the most probable."""
        wrong = [judgement for judgement in self.judgements if not judgement.right]
        return sorted(wrong, key=lambda one: -one.predictions[0].probability)[:number]

    @property
    def pictures_per_second(self) -> float:
        """The throughput, failures included."""
        done = len(self.judgements) + len(self.failures)
        return done / self.seconds if self.seconds else math.nan


@dataclass(frozen=True)
class Pair:
    """Two evaluations on the pictures that both could read.

    `agreement` is how often the first answers are the same, `only_first` and `only_second`
    how many pictures one alone has right, `p_value` that of McNemar's exact test.
    """

    first: str
    second: str
    agreement: Measure
    only_first: int
    only_second: int
    p_value: float


@dataclass(frozen=True)
class Disagreement:
    """A picture on which the evaluations differ, with a judgement of each, in their order."""

    source: str
    truth: int
    judgements: tuple[Judgement, ...]


@dataclass(frozen=True)
class Comparison:
    """Evaluations on the same pictures.

    `titles` are the evaluations' names, with the network's folder or the recipe where several
    have one name. `source` is the folder as it was named, `layout` says where the classes of
    its pictures stand, `num_classes` how many occur. There is a `Pair` for every two
    evaluations, in their order; `disagreements` begin with the pictures on which the
    evaluations give most different answers, among equals with the most confident ones.
    """

    titles: tuple[str, ...]
    source: str
    layout: str
    num_classes: int
    evaluations: tuple[Evaluation, ...]
    pairs: tuple[Pair, ...]
    disagreements: tuple[Disagreement, ...]

    @property
    def titled(self) -> list[tuple[str, Evaluation]]:
        """The evaluations with their titles."""
        return list(zip(self.titles, self.evaluations, strict=True))


def comparison_of(
    source: str, layout: str, num_classes: int, evaluations: Sequence[Evaluation]
) -> Comparison:
    """Return the comparison of evaluations on the same pictures."""
    titles = _titles(evaluations)
    judged = [{one.source: one for one in evaluation.judgements} for evaluation in evaluations]
    named = zip(titles, judged, strict=True)
    pairs = tuple(_pair(*first, *second) for first, second in combinations(named, 2))
    differing = []
    for name, judgement in judged[0].items() if judged else ():
        answers = tuple(table[name] for table in judged if name in table)
        if len(answers) == len(judged) and len({one.predictions[0].index for one in answers}) > 1:
            differing.append(Disagreement(name, judgement.truth, answers))
    differing.sort(key=_strength, reverse=True)
    found = tuple(evaluations), pairs, tuple(differing)
    return Comparison(titles, source, layout, num_classes, *found)


def remark(evaluation: Evaluation) -> str | None:
    """Return that the measured accuracy may be chance, or why the published one may lie outside its
    interval, if so it is."""
    network = evaluation.network
    answers = evaluation.classes if evaluation.restricted else evaluation.labels
    if said := metrics.doubt(evaluation.top1, len(answers)):
        return said
    outside = [
        f"{name} {published:.1f} %"
        for name, published, measured in evaluation.beside_published
        if published is not None
        and measured.of
        and not 100 * measured.low <= published <= 100 * measured.high
    ]
    if not outside:
        return None
    here, of = len(evaluation.classes), len(evaluation.labels)
    reasons = ["other pictures than ImageNet's validation set"]
    if evaluation.restricted:
        reasons.insert(0, f"{here:,} classes to choose from instead of {of:,}")
    elif here < of:
        reasons.insert(0, f"{here:,} of {of:,} classes")
    if evaluation.recipe != str(network.recipe):
        reasons.insert(0, f"the recipe {evaluation.recipe} instead of {network.recipe}")
    if evaluation.precision != "f32":
        reasons.insert(0, f"computed in {evaluation.precision}")
    algorithm, _, published = (network.weights.checksum or "").partition(":")
    if evaluation.weights.startswith(algorithm) and not evaluation.weights.endswith(published):
        reasons.insert(0, "other weights than the published ones")
    return (
        f"the published {' and '.join(outside)} {'lies' if len(outside) == 1 else 'lie'} outside "
        f"the interval, probably for: {', '.join(reasons)}"
    )


def _titles(evaluations: Sequence[Evaluation]) -> tuple[str, ...]:
    networks = {one.network.reference: one.network.name for one in evaluations}
    named = Counter(networks.values())
    names = [
        f"{one.network.reference}{one.suffix}" if named[one.network.name] > 1 else one.name
        for one in evaluations
    ]
    counts = Counter(names)
    return tuple(
        f"{name} {one.recipe}" if counts[name] > 1 else name
        for name, one in zip(names, evaluations, strict=True)
    )


def _pair(
    first: str, judged: dict[str, Judgement], second: str, others: dict[str, Judgement]
) -> Pair:
    both = [(judged[name], others[name]) for name in judged if name in others]
    same = sum(one.predictions[0].index == other.predictions[0].index for one, other in both)
    only_first = sum(one.right and not other.right for one, other in both)
    only_second = sum(other.right and not one.right for one, other in both)
    agreement, p_value = metrics.share(same, len(both)), metrics.mcnemar(only_first, only_second)
    return Pair(first, second, agreement, only_first, only_second, p_value)


def _strength(disagreement: Disagreement) -> tuple[int, float]:
    firsts = [one.predictions[0] for one in disagreement.judgements]
    return len({one.index for one in firsts}), sum(one.probability for one in firsts)
