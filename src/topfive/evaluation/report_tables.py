"""The tables of a report, as text in cells, for every format that shows tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from topfive.evaluation.evaluations import Comparison, Evaluation, Judgement, Pair, remark
from topfive.evaluation.metrics import ClassResult, Confusion, Measure

NONE = "–"  # there is no such value
SIGNIFICANT = 0.05
SHOWN = 10  # rows of what there may be thousands of
METHOD = (
    "Intervals are Wilson's, of 95 %. The calibration error is the expected one over 15 bins: by "
    "how much confidence and accuracy differ on average. McNemar's test is the exact one: p is "
    "how likely so uneven a split of the pictures that one network alone has right is between "
    "equally good networks."
)


@dataclass(frozen=True)
class Table:
    """A title, the names of the columns, and as many cells in each row.

    The first `text` columns hold text, all others numbers; a row's first cell says what it is of.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: int = 1


T = TypeVar("T")
Columns = dict[str, Callable[[T], str]]  # the names of columns, and what makes their cells
Titled = tuple[str, Evaluation]


def _make(title: str, columns: Columns[T], rows: Iterable[T], text: int = 1) -> Table:
    cells = tuple(tuple(cell(row) for cell in columns.values()) for row in rows)
    return Table(title, tuple(columns), cells, text)


def accuracy(comparison: Comparison) -> Table:
    """Return what was measured beside what was published, with how each was prepared."""
    columns: Columns[Titled] = {
        "Network": lambda of: of[0],
        "Recipe here": lambda of: of[1].recipe,
        "Recipe of the published": lambda of: of[1].network.published,
        "Top-1": lambda of: with_interval(of[1].top1),
        "Published top-1": lambda of: _number(of[1].network.top1, ".1f", " %"),
        "Top-5": lambda of: with_interval(of[1].top5),
        "Published top-5": lambda of: _number(of[1].network.top5, ".1f", " %"),
    }
    title = "Measured (with 95 % intervals) beside published accuracy"
    return _make(title, columns, comparison.titled, text=3)


def cost(comparison: Comparison) -> Table:
    """Return what each network took, and how far its confidence can be trusted."""
    columns: Columns[Titled] = {
        "Network": lambda of: of[0],
        "Pictures": lambda of: f"{len(of[1].judgements):,}",
        "Failed": lambda of: f"{len(of[1].failures):,}",
        "Calibration error": lambda of: percent(of[1].calibration_error),
        "Pictures a second": lambda of: _number(of[1].pictures_per_second, ",.1f"),
        "Seconds": lambda of: _number(of[1].seconds, ",.1f"),
        "Memory, MB": lambda of: f"{of[1].memory / 1e6:,.0f}",
    }
    return _make("Confidence, speed and memory", columns, comparison.titled)


def pairs(comparison: Comparison) -> Table:
    """Return how every two networks differ, and whether that may be chance."""
    columns: Columns[Pair] = {
        "First": lambda pair: pair.first,
        "Second": lambda pair: pair.second,
        "Their difference": lambda pair: verdict(pair.p_value),
        "Same answer": lambda pair: with_interval(pair.agreement),
        "Only first right": lambda pair: f"{pair.only_first:,}",
        "Only second right": lambda pair: f"{pair.only_second:,}",
        "McNemar's p": lambda pair: f"{pair.p_value:.2g}",
    }
    return _make("Two networks on the same pictures", columns, comparison.pairs, text=3)


def classes(comparison: Comparison) -> Table:
    """Return how the pictures of each class were answered, the weakest classes first."""
    results = {
        title: {one.index: one for one in found.classes} for title, found in comparison.titled
    }
    found = {index: one for table in results.values() for index, one in table.items()}
    columns: Columns[ClassResult] = {
        "Class": lambda one: one.label,
        "WordNet id": lambda one: one.wnid,
        "Pictures": lambda one: f"{one.top1.of:,}",
    }
    for title, table in results.items():
        columns[f"{title}, top-1"] = partial(_of_class, table, "top1")
        columns[f"{title}, top-5"] = partial(_of_class, table, "top5")

    def strength(one: ClassResult) -> tuple[float, float, str]:
        known = [table[one.index] for table in results.values() if one.index in table]
        top1, top5 = (sum(getattr(each, best).value for each in known) for best in ("top1", "top5"))
        return top1 / len(known), top5 / len(known), one.label

    rows = sorted(found.values(), key=strength)
    return _make("Each class, the weakest first", columns, rows, text=2)


def _of_class(results: Mapping[int, ClassResult], best: str, one: ClassResult) -> str:
    found = results.get(one.index)  # None: none of its pictures could be read
    return percent(getattr(found, best).value) if found else NONE


def confusions(title: str, evaluation: Evaluation) -> Table:
    """Return the `SHOWN` most frequent confusions of one network."""
    columns: Columns[Confusion] = {
        "Truth": lambda one: evaluation.labels[one.truth].name,
        "Answered": lambda one: evaluation.labels[one.predicted].name,
        "Pictures": lambda one: f"{one.count:,}",
    }
    return _make(f"Most often confused by {title}", columns, evaluation.confusions[:SHOWN], text=2)


def errors(comparison: Comparison, title: str, evaluation: Evaluation) -> Table:
    """Return the `SHOWN` most confident errors of one network."""
    columns: Columns[Judgement] = {
        "Picture": lambda one: inside(comparison, one.source),
        "Truth": lambda one: evaluation.labels[one.truth].name,
        "Answered": lambda one: one.predictions[0].label,
        "Its probability": lambda one: percent(one.predictions[0].probability),
        "The truth's": lambda one: percent(one.probability),
    }
    title = f"The most confident errors of {title}"
    return _make(title, columns, evaluation.find_worst(SHOWN), text=3)


def disagreements(comparison: Comparison) -> Table:
    """Return the first `SHOWN` pictures on which the networks disagree, with each answer."""
    rows = []
    for one in comparison.disagreements[:SHOWN]:
        firsts = (judgement.predictions[0] for judgement in one.judgements)
        answers = (f"{first.label} {percent(first.probability)}" for first in firsts)
        truth = comparison.evaluations[0].labels[one.truth].name
        rows.append((inside(comparison, one.source), truth, *answers))
    columns = ("Picture", "Truth", *comparison.titles)
    title = "The pictures on which the networks disagree most"
    return Table(title, columns, tuple(rows), text=len(columns))


def failures(comparison: Comparison) -> Table:
    """Return the kinds of failures, the most frequent first, with the first `SHOWN` pictures of
    each. What several networks could not read counts once."""
    kinds: dict[str, dict[str, str]] = {}
    for evaluation in comparison.evaluations:
        for one in evaluation.failures:
            said = f"{inside(comparison, one.source)}: {one.message}"
            kinds.setdefault(one.kind, {}).setdefault(one.source, said)
    columns: Columns[tuple[str, dict[str, str]]] = {
        "Kind": lambda of: of[0],
        "For example": lambda of: "; ".join([*of[1].values()][:SHOWN]),
        "Pictures": lambda of: f"{len(of[1]):,}",
    }
    rows = sorted(kinds.items(), key=lambda of: (-len(of[1]), of[0]))
    return _make("Pictures that could not be read, and are not counted", columns, rows, text=2)


def origin(comparison: Comparison) -> Table:
    """Return what was measured: which networks, prepared and computed how."""

    def among(evaluation: Evaluation) -> int:
        return len(evaluation.classes if evaluation.restricted else evaluation.labels)

    columns: Columns[Titled] = {
        "Network": lambda of: of[0],
        "Is": lambda of: of[1].network.title,
        "Recipe": lambda of: of[1].recipe,
        "Precision": lambda of: of[1].precision,
        "Answers among": lambda of: f"{among(of[1]):,} classes",
        "Weights": lambda of: of[1].weights,
    }
    return _make("What was measured", columns, comparison.titled, text=6)


def title(comparison: Comparison) -> str:
    """Return what a report is about, in a few words."""
    number = len(comparison.titles)
    named = comparison.titles[0] if number == 1 else f"{number} networks"
    return f"{named} on {comparison.source}"


def inside(comparison: Comparison, source: str) -> str:
    """Return a source's name as seen from the folder that the report is about."""
    return source.removeprefix(f"{comparison.source.rstrip('/')}/")


def headline(comparison: Comparison) -> str:
    """Return, in a sentence, on what was measured."""
    first = comparison.evaluations[0]
    pictures = len(first.judgements) + len(first.failures)
    told = f"{pictures:,} pictures of {comparison.num_classes:,} classes, known from"
    among = ", which alone could be answered" if first.restricted else ""
    return f"{told} {comparison.layout}{among}"


def remarks(comparison: Comparison) -> list[str]:
    """Return a line for each network whose accuracy may be chance, or is not the published one."""
    said = ((title, remark(one)) for title, one in comparison.titled)
    return [f"{title}: {text}" for title, text in said if text]


def verdict(p_value: float) -> str:
    """Return what a p-value says of the difference between two networks."""
    return "hardly chance" if p_value < SIGNIFICANT else "may be chance"


def percent(share: float) -> str:
    """Return a share (0 to 1) as text, `66.9 %`."""
    return _number(100 * share, ".1f", " %")


def with_interval(measure: Measure) -> str:
    """Return a share with its interval, `66.9 % (59.3 to 73.7)`."""
    return f"{percent(measure.value)} ({interval(measure)})" if measure.of else NONE


def interval(measure: Measure) -> str:
    """Return a share's interval in percent, `59.3 to 73.7`."""
    return f"{100 * measure.low:.1f} to {100 * measure.high:.1f}"


def _number(value: float | None, form: str, unit: str = "") -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value:{form}}{unit}"
