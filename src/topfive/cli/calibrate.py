"""`topfive calibrate`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options
from topfive.cli.classify import write
from topfive.cli.evaluate import terminal
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from rich.table import Table

    from topfive.evaluation.calibrate import Calibrated

# Of `calibration` and `fitting`, which are not imported for a help page; a test compares them.
METHODS = ("raps", "aps")
REJECT_SCORES = ("energy", "max_logit")
REJECT_RATE = 0.05


@click.command()
@click.argument("folder", metavar="DIR")
@options.model
@options.truth
@click.option(
    "--method",
    default=METHODS[0],
    show_default=True,
    type=click.Choice(METHODS),
    help="How a set is made for --coverage: raps makes smaller ones where many classes are "
    "possible.",
)
@click.option(
    "--reject-score",
    default=REJECT_SCORES[0],
    show_default=True,
    type=click.Choice(REJECT_SCORES),
    help="What tells --reject that a picture is unlike those in DIR.",
)
@click.option(
    "--reject-rate",
    default=REJECT_RATE,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="How many pictures that are like those in DIR may be rejected.",
)
@click.option("--dry-run", is_flag=True, help="Measure, and store nothing.")
@click.option(
    "-f", "--format", default="text", show_default=True, type=click.Choice(("text", "json"))
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@options.network
def calibrate(folder: str, dry_run: bool, format: str, quiet: bool, **chosen: Any) -> int:
    """Teach a network how sure it may be, with pictures whose classes are known.

    DIR holds them as `topfive evaluate` takes them. They should be like the pictures that
    will be asked about, and none of those that the network was trained with. What is found
    is stored for these weights, recipe and precision; classify and batch use it with
    --calibrated, --coverage and --reject.
    """
    from topfive.evaluation import calibrate as calibrating

    return_memory()
    with terminal(quiet) as listener:
        result = calibrating.calibrate(folder, listener=listener, store=not dry_run, **chosen)
    if format == "json":
        write(json.dumps(result.to_dict(), indent=1) + "\n")
    else:
        show(result, stored=not dry_run)
    return 1 if result.failures else 0


def show(result: Calibrated, stored: bool) -> None:
    """Print what a calibration is and how good it is."""
    from rich.console import Console

    from topfive.system.text import printable

    console = Console(highlight=False, markup=False, emoji=False)
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
    table = _table("probabilities", "before", "after")
    table.add_row("temperature", "1.00", f"{found.temperature:.2f}")
    table.add_row("negative log-likelihood", *(f"{one:.3f}" for one in found.nll))
    table.add_row("calibration error (ECE)", *(f"{one:.3f}" for one in found.ece))
    return table


def _sets(result: Calibrated) -> Table:
    table = _table(f"sets ({result.calibration.method})", "hold the truth", "95 %", "classes")
    for one in result.sets:
        interval = f"{100 * one.held.low:.1f}-{100 * one.held.high:.1f}"
        table.add_row(
            f"--coverage {one.coverage:g}", f"{one.held.value:.1%}", interval, f"{one.size:.1f}"
        )
    return table


def _table(title: str, *titles: str) -> Table:
    from rich.table import Table

    table = Table(title, box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    for one in titles:
        table.add_column(one, justify="right")
    return table
