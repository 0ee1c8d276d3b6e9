"""`topfive calibrate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from topfive.classification.options import METHODS, REJECT_RATE, REJECT_SCORES
from topfive.cli import options, terminal
from topfive.cli.evaluate import listener
from topfive.system.processes import return_memory
from topfive.system.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from topfive.evaluation.calibrate import Calibrated


@click.command()
@click.argument("folder", metavar="DIR")
@options.model
@options.truth
@options.choice(
    "--method",
    values=METHODS,
    help="How --coverage chooses its sets. raps makes smaller ones where many classes are "
    "possible.",
)
@options.choice(
    "--reject-score",
    values=REJECT_SCORES,
    help="The score by which --reject finds pictures unlike those in DIR.",
)
@options.share(
    "--reject-rate",
    default=REJECT_RATE,
    help="The share of pictures like those in DIR that --reject may reject.",
)
@options.flag("--dry-run", help="Measure, but do not store the result.")
@options.output_format("text", "json")
@options.quiet
@options.network
def calibrate(folder: str, dry_run: bool, format: str, quiet: bool, **chosen: Any) -> int:
    """Make a network's probabilities match how often it is right.

    DIR holds pictures whose classes are known, as for `topfive evaluate`. They should be like
    the pictures that you will classify. The network must not have been trained on them. The
    result is stored for these weights, this recipe and this precision. classify and batch use
    it with --calibrated, --coverage and --reject.

    \b
    Examples:
      topfive calibrate photos/
      topfive classify photo.jpg --coverage 0.95
    """
    from topfive.evaluation import calibrate as calibrating

    return_memory()
    with listener(quiet) as shown:
        result = calibrating.calibrate(folder, listener=shown, store=not dry_run, **chosen)
    if format == "json":
        terminal.write_json(result.to_dict())
    else:
        show(result, stored=not dry_run)
    return 1 if result.failures else 0


def show(result: Calibrated, stored: bool) -> None:
    """Print what a calibration is and how good it is."""
    console = terminal.console()
    found = result.calibration
    failed = f"; {len(result.failures):,} failed" if result.failures else ""
    console.print(
        f"{result.network}, {found.precision}, {found.recipe}: {found.pictures:,} pictures of "
        f"{result.num_classes:,} classes, by {printable(result.layout)}{failed}"
    )
    console.print("All figures are of pictures that the fit did not see, a tenth at a time.")
    console.print("", _probabilities(result))
    if result.sets:
        console.print("", _sets(result))
    rejected = result.rejected
    console.print(
        f"\nrejected: {rejected.hits:,} of {rejected.of:,}, {100 * rejected.low:.1f}-"
        f"{100 * rejected.high:.1f} %; those whose {found.reject_score} is under "
        f"{found.threshold:.2f}"
    )
    for remark in result.remarks:
        console.print(f"note: {remark}")
    if stored:
        console.print("stored; --calibrated, --coverage 0.9 and --reject answer by it")


def _probabilities(result: Calibrated) -> Table:
    found = result.calibration
    table = terminal.table("probabilities", "before", "after")
    table.add_row("temperature", "1.00", f"{found.temperature:.2f}")
    table.add_row("negative log-likelihood", *(f"{one:.3f}" for one in found.nll))
    table.add_row("calibration error (ECE)", *(f"{one:.3f}" for one in found.ece))
    return table


def _sets(result: Calibrated) -> Table:
    table = terminal.table(
        f"sets ({result.calibration.method})", "hold the truth", "95 %", "classes"
    )
    for one in result.sets:
        interval = f"{100 * one.held.low:.1f}-{100 * one.held.high:.1f}"
        table.add_row(
            f"--coverage {one.coverage:g}", f"{one.held.value:.1%}", interval, f"{one.size:.1f}"
        )
    return table
