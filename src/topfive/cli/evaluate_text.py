"""What `topfive evaluate` prints: the report's content in 80 columns, the first of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from topfive.system.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from topfive.evaluation.evaluations import (
        ClassResult,
        Comparison,
        Evaluation,
        Judgement,
        Measure,
    )
    from topfive.networks.labels import Label

SHOWN = 5  # pictures, confusions and classes


def show(comparison: Comparison, per_class: bool) -> None:
    """Print what was measured: accuracy beside what was published, the weakest classes or all,
    what is taken for what, which network is the better, the pictures to look at."""
    from rich.console import Console

    from topfive.evaluation.report_tables import headline, remarks, verdict, with_interval
    from topfive.evaluation.review import worst

    console = Console(highlight=False, markup=False, emoji=False)
    titled = list(zip(comparison.titles, comparison.evaluations, strict=True))
    labels = comparison.evaluations[0].labels
    console.print(f"{printable(comparison.source)}: {printable(headline(comparison))}\n")
    console.print(_accuracy(comparison))
    for title, one in titled:
        if one.failures:
            console.print(f"{title}: failed and not counted: {len(one.failures):,}")
    for card in dict.fromkeys(one.network for one in comparison.evaluations):
        if card.published:
            console.print(f"{card.name}: published with {card.published}")
    for line in remarks(comparison):
        console.print(line)
    for title, one in titled:
        if classes := one.classes if per_class else _weakest(one):
            console.print(f"\n{title}, {'all' if per_class else 'the weakest'} classes:")
            console.print(_classes(classes))
        often = [found for found in one.confusions[:SHOWN] if found.count > 1]
        if often:
            console.print(f"\n{title} takes most often:")
        for found in often:
            taken = f"{labels[found.truth].name} for {labels[found.predicted].name}"
            console.print(f"  {taken}: {found.count:,} times")
    for pair in comparison.pairs:
        console.print(
            f"\n{pair.first} and {pair.second}: the same answer to "
            f"{with_interval(pair.agreement)} of the pictures. Only the first is right for "
            f"{pair.only_first:,}, only the second for {pair.only_second:,}: "
            f"{verdict(pair.p_value)} (McNemar's p = {pair.p_value:.2g})"
        )
    if comparison.disagreements:
        console.print(f"\nthe answers differ for {len(comparison.disagreements):,} pictures:")
    for differing in comparison.disagreements[:SHOWN]:
        _show_picture(console, labels, differing.judgements)
    errors = worst(titled[0][1], SHOWN) if len(titled) == 1 else []
    if errors:
        console.print("\nthe most confident errors:")
    for judgement in errors:
        _show_picture(console, labels, [judgement])


def _show_picture(
    console: Console, labels: Sequence[Label], judgements: Sequence[Judgement]
) -> None:
    best = [judgement.predictions[0] for judgement in judgements]
    answers = ", ".join(f"{one.label} {one.probability:.0%}" for one in best)
    name, truth = printable(judgements[0].source), labels[judgements[0].truth].name
    console.print(f"  {name}: {answers}; it is {truth}")


def _accuracy(comparison: Comparison) -> Table:
    table = _table("top-1", "95 %", "top-5", "95 %", "ECE", "per s", "MB")
    for name, group in groupby(comparison.evaluations, key=lambda one: one.name):
        table.add_row(name)
        for one in group:
            error = f"{one.calibration_error:.3f}" if one.judgements else "-"
            table.add_row(
                f"  {one.recipe}", _percent(one.top1), _interval(one.top1), _percent(one.top5),
                _interval(one.top5), error, f"{one.pictures_per_second:,.1f}",
                f"{one.memory / 1e6:,.0f}",
            )  # fmt: skip
        published = ["-" if value is None else f"{value:.1f}"
                     for value in (one.network.top1, one.network.top5)]  # fmt: skip
        table.add_row("  published", published[0], "", published[1])
    return table


def _weakest(evaluation: Evaluation) -> list[ClassResult]:
    wrong = (one for one in evaluation.classes if one.top1.hits < one.top1.of > 1)
    return sorted(wrong, key=lambda one: (one.top1.value, one.top1.high))[:SHOWN]


def _classes(classes: Iterable[ClassResult]) -> Table:
    table = _table("", "pictures", "top-1", "95 %", "top-5")
    table.columns[1].justify = "left"
    for one in classes:
        table.add_row(
            f"  {one.wnid}", one.label, f"{one.top1.of:,}", _percent(one.top1),
            _interval(one.top1), _percent(one.top5),
        )  # fmt: skip
    return table


def _table(*titles: str) -> Table:
    from rich.table import Table

    table = Table("", box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for title in titles:
        table.add_column(title, justify="right")
    return table


def _percent(measure: Measure) -> str:
    return f"{100 * measure.value:.1f}" if measure.of else "-"


def _interval(measure: Measure) -> str:
    return f"{100 * measure.low:.1f}-{100 * measure.high:.1f}" if measure.of else ""
