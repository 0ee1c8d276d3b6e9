"""What `topfive evaluate` prints: the report's content in 80 columns, the first of each kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from topfive.cli import terminal
from topfive.system.text import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from topfive.evaluation.evaluations import Comparison, Evaluation, Judgement
    from topfive.evaluation.metrics import ClassResult, Measure
    from topfive.networks.labels import Label

SHOWN = 5  # pictures, confusions and classes


def show(comparison: Comparison, per_class: bool) -> None:
    """Print what was measured: accuracy beside what was published, the weakest classes or all,
    what is taken for what, which network is the better, the pictures to look at."""
    from topfive.evaluation.report_tables import headline, remarks, verdict, with_interval

    console = terminal.console()
    titled = comparison.titled
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
    errors = titled[0][1].find_worst(SHOWN) if len(titled) == 1 else []
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
    table = terminal.table("", "top-1", "95 %", "top-5", "95 %", "ECE", "per s", "MB")
    for name, group in groupby(comparison.evaluations, key=lambda one: one.name):
        table.add_row(name)
        for one in group:
            measured = [*_figures(one.top1), *_figures(one.top5)]
            error = f"{one.calibration_error:.3f}" if one.judgements else "-"
            costs = f"{one.pictures_per_second:,.1f}", f"{one.memory / 1e6:,.0f}"
            table.add_row(f"  {one.recipe}", *measured, error, *costs)
        published = (one.network.top1, one.network.top5)
        top1, top5 = ("-" if value is None else f"{value:.1f}" for value in published)
        table.add_row("  published", top1, "", top5)
    return table


def _weakest(evaluation: Evaluation) -> list[ClassResult]:
    wrong = (one for one in evaluation.classes if one.top1.hits < one.top1.of > 1)
    return sorted(wrong, key=lambda one: (one.top1.value, one.top1.high))[:SHOWN]


def _classes(classes: Iterable[ClassResult]) -> Table:
    table = terminal.table("", "", "pictures", "top-1", "95 %", "top-5")
    table.columns[1].justify = "left"
    for one in classes:
        top5, _ = _figures(one.top5)
        table.add_row(f"  {one.wnid}", one.label, f"{one.top1.of:,}", *_figures(one.top1), top5)
    return table


def _figures(measure: Measure) -> tuple[str, str]:
    """Return a share and its interval in percent."""
    if not measure.of:
        return "-", ""
    return f"{100 * measure.value:.1f}", f"{100 * measure.low:.1f}-{100 * measure.high:.1f}"
