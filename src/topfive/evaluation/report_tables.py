"""The tables of a report, as text in cells, for every format that shows tables."""

from __future__ import annotations

import math
from dataclasses import dataclass

from topfive.evaluation.evaluations import Comparison, Evaluation, remark
from topfive.evaluation.metrics import ClassResult, Measure
from topfive.evaluation.review import worst
from topfive.results import Failure

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

    `text` columns hold text and are the first; all others hold numbers. The first cell of a row
    says what the row is about.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    text: int = 1


def accuracy(comparison: Comparison) -> Table:
    """Return what was measured beside what was published, with how each was prepared."""
    return Table(
        "Measured (with 95 % intervals) beside published accuracy",
        ("Network", "Recipe here", "Recipe of the published", "Top-1", "Published top-1",
         "Top-5", "Published top-5"),
        tuple(
            (title, one.recipe, one.network.published, with_interval(one.top1),
             _number(one.network.top1, ".1f", " %"), with_interval(one.top5),
             _number(one.network.top5, ".1f", " %"))
            for title, one in _titled(comparison)
        ),
        text=3,
    )  # fmt: skip


def cost(comparison: Comparison) -> Table:
    """Return what each network took, and how far its confidence can be trusted."""
    return Table(
        "Confidence, speed and memory",
        ("Network", "Pictures", "Failed", "Calibration error", "Pictures a second", "Seconds",
         "Memory, MB"),
        tuple(
            (title, f"{len(one.judgements):,}", f"{len(one.failures):,}",
             percent(one.calibration_error), _number(one.pictures_per_second, ",.1f"),
             _number(one.seconds, ",.1f"), f"{one.memory / 1e6:,.0f}")
            for title, one in _titled(comparison)
        ),
    )  # fmt: skip


def pairs(comparison: Comparison) -> Table:
    """Return how every two networks differ, and whether that may be chance."""
    return Table(
        "Two networks on the same pictures",
        ("First", "Second", "Their difference", "Same answer", "Only first right",
         "Only second right", "McNemar's p"),
        tuple(
            (one.first, one.second, verdict(one.p_value), with_interval(one.agreement),
             f"{one.only_first:,}", f"{one.only_second:,}", f"{one.p_value:.2g}")
            for one in comparison.pairs
        ),
        text=3,
    )  # fmt: skip


def classes(comparison: Comparison) -> Table:
    """Return how the pictures of each class were answered, the weakest classes first."""
    titled = _titled(comparison)
    results = [{one.index: one for one in evaluation.classes} for _, evaluation in titled]
    found = {index: one for table in results for index, one in table.items()}

    def strength(index: int) -> tuple[float, float, str]:
        known = [table[index] for table in results if index in table]
        return (
            sum(one.top1.value for one in known) / len(known),
            sum(one.top5.value for one in known) / len(known),
            found[index].label,
        )

    return Table(
        "Each class, the weakest first",
        ("Class", "WordNet id", "Pictures",
         *(f"{title}, {best}" for title, _ in titled for best in ("top-1", "top-5"))),
        tuple(
            (found[index].label, found[index].wnid, f"{found[index].top1.of:,}",
             *(cell for table in results for cell in _of_class(table.get(index))))
            for index in sorted(found, key=strength)
        ),
        text=2,
    )  # fmt: skip


def confusions(title: str, evaluation: Evaluation) -> Table:
    """Return the `SHOWN` most frequent confusions of one network."""
    labels = evaluation.labels
    return Table(
        f"Most often confused by {title}",
        ("Truth", "Answered", "Pictures"),
        tuple(
            (labels[one.truth].name, labels[one.predicted].name, f"{one.count:,}")
            for one in evaluation.confusions[:SHOWN]
        ),
        text=2,
    )


def errors(comparison: Comparison, title: str, evaluation: Evaluation) -> Table:
    """Return the `SHOWN` most confident errors of one network."""
    return Table(
        f"The most confident errors of {title}",
        ("Picture", "Truth", "Answered", "Its probability", "The truth's"),
        tuple(
            (inside(comparison, one.source), evaluation.labels[one.truth].name,
             one.predictions[0].label, percent(one.predictions[0].probability),
             percent(one.probability))
            for one in worst(evaluation, SHOWN)
        ),
        text=3,
    )  # fmt: skip


def disagreements(comparison: Comparison) -> Table:
    """Return the first `SHOWN` pictures on which the networks disagree, with each answer."""
    return Table(
        "The pictures on which the networks disagree most",
        ("Picture", "Truth", *comparison.titles),
        tuple(
            (inside(comparison, one.source), comparison.evaluations[0].labels[one.truth].name,
             *(f"{first.label} {percent(first.probability)}"
               for first in (judgement.predictions[0] for judgement in one.judgements)))
            for one in comparison.disagreements[:SHOWN]
        ),
        text=2 + len(comparison.evaluations),
    )  # fmt: skip


def failures(comparison: Comparison) -> Table:
    """Return the kinds of failures, the most frequent first, with the first `SHOWN` pictures of
    each. What several networks could not read counts once."""
    kinds: dict[str, dict[str, Failure]] = {}
    for evaluation in comparison.evaluations:
        for failure in evaluation.failures:
            kinds.setdefault(failure.kind, {}).setdefault(failure.source, failure)
    ordered = sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0]))
    return Table(
        "Pictures that could not be read, and are not counted",
        ("Kind", "For example", "Pictures"),
        tuple(
            (kind, "; ".join(f"{inside(comparison, one.source)}: {one.message}"
                             for one in [*found.values()][:SHOWN]),
             f"{len(found):,}")
            for kind, found in ordered
        ),
        text=2,
    )  # fmt: skip


def origin(comparison: Comparison) -> Table:
    """Return what was measured: which networks, prepared and computed how."""
    return Table(
        "What was measured",
        ("Network", "Is", "Recipe", "Precision", "Answers among", "Weights"),
        tuple(
            (title, one.network.title, one.recipe, one.precision,
             f"{len(one.classes) if one.restricted else len(one.labels):,} classes", one.weights)
            for title, one in _titled(comparison)
        ),
        text=6,
    )  # fmt: skip


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
    """Return a line for each network whose published accuracy the measured one does not hold."""
    said = ((title, remark(one)) for title, one in _titled(comparison))
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


def _titled(comparison: Comparison) -> list[tuple[str, Evaluation]]:
    return list(zip(comparison.titles, comparison.evaluations, strict=True))


def _of_class(result: ClassResult | None) -> tuple[str, str]:
    if result is None:  # none of its pictures could be read
        return NONE, NONE
    return percent(result.top1.value), percent(result.top5.value)


def _number(value: float | None, form: str, unit: str = "") -> str:
    return NONE if value is None or not math.isfinite(value) else f"{value:{form}}{unit}"
