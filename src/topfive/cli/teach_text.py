"""What `topfive teach` says of a network that it taught, in 80 columns."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from topfive.accuracies import told
from topfive.text import printable

if TYPE_CHECKING:
    from rich.table import Table

    from topfive.accuracies import Accuracy
    from topfive.teaching import Teaching

WIDTH = 80  # columns
SHOWN = 10  # classes, the least accurate ones where there are more
CONFUSED = 5  # pairs of classes


def describe(result: Teaching) -> str:
    """Return how good the network is, how long that took, and how it is used."""
    from rich.console import Console

    console = Console(width=WIDTH, highlight=False, markup=False, emoji=False)
    accuracy, seconds = result.accuracy, result.seconds
    place = printable(result.folder)
    with console.capture() as captured:
        console.print(
            f"{place} tells {len(result.classes):,} classes by the features of {result.network} "
            f"(recipe {result.recipe})"
        )
        if found := result.changes:
            console.print(
                f"It replaces a network: since then {found.new:,} pictures are new, "
                f"{found.gone:,} gone, {found.changed:,} changed."
            )
        held = f"held out {result.held_out:,}"
        if not accuracy.held_out:
            held = "held out none" + ": measured by cross-validation" * bool(accuracy.all.of)
        failed = f"; {len(result.failures):,} cannot be read" if result.failures else ""
        console.print(f"taught {result.pictures:,} pictures, {held}{failed}")
        console.print(f"right: {told(accuracy.all)}\n")
        if accuracy.all.of:
            console.print(_classes(accuracy))
        for one in accuracy.confusions[:CONFUSED]:
            truth, predicted = (result.classes[place] for place in (one.truth, one.predicted))
            console.print(f"took {printable(truth)} for {printable(predicted)}: {one.count:,}")
        if more := accuracy.confusions[CONFUSED:]:
            console.print(f"and {len(more):,} more such pairs")
        console.print(
            f"\nfeatures {seconds['features']:.1f} s ({result.computed:,} computed, "
            f"{result.known:,} known), fitting {seconds['fitting']:.1f} s, all "
            f"{seconds['all']:.1f} s"
        )
        console.print("The first answer takes longer: the network is compiled then, once.")
        # Not wrapped: it is to be copied.
        console.print(f"  topfive classify PICTURE --model {shlex.quote(place)}", soft_wrap=True)
    return captured.get()


def _classes(accuracy: Accuracy) -> Table:
    """Return the classes, or the least accurate ones."""
    from rich.table import Table

    shown = accuracy.classes
    title = "class"
    if len(shown) > SHOWN:
        title = f"{SHOWN} least accurate classes"
        measured = [one for one in shown if one.accuracy.of]
        shown = tuple(sorted(measured, key=lambda one: one.accuracy.value)[:SHOWN])
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="")
    table.add_column(title, overflow="fold")
    for name in ("taught", "right", "of", ""):
        table.add_column(name, justify="right")
    for one in shown:
        found = one.accuracy
        percent = f"{100 * found.value:.0f} %" if found.of else ""
        table.add_row(
            printable(one.name), f"{one.pictures:,}", f"{found.hits:,}", f"{found.of:,}", percent
        )
    return table
