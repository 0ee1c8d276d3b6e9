"""What `topfive teach` says of a network that it taught, extended or corrected, in 80 columns."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from topfive.cli import terminal
from topfive.evaluation.metrics import share_text
from topfive.system.text import WIDTH, listing, printable, wrap
from topfive.teaching.correct import Changed, Corrected, History
from topfive.teaching.extend import Extended

if TYPE_CHECKING:
    from rich.table import Table

    from topfive.teaching.teach import Accuracy, Teaching

SHOWN = 10  # classes, the least accurate ones where there are more
CONFUSED = 5  # pairs of classes
DID = {"add": "added", "forget": "forgotten", "undo": "taken back"}


def describe(result: Teaching) -> str:
    """Return how good the network is, how long that took, and how it is used."""
    console = terminal.console(width=WIDTH)
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
        console.print(f"right: {share_text(accuracy.all)}\n")
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
    shown = accuracy.classes
    title = "class"
    if len(shown) > SHOWN:
        title = f"{SHOWN} least accurate classes"
        measured = [one for one in shown if one.accuracy.of]
        shown = tuple(sorted(measured, key=lambda one: one.accuracy.value)[:SHOWN])
    table = terminal.table(title, "taught", "right", "of", "")
    for one in shown:
        found = one.accuracy
        percent = f"{100 * found.value:.0f} %" if found.of else ""
        table.add_row(
            printable(one.name), f"{one.pictures:,}", f"{found.hits:,}", f"{found.of:,}", percent
        )
    return table


def describe_corrections(result: Corrected | History) -> str:
    """Return what a correction did, or which there were, as text."""
    lines = _history(result) if isinstance(result, History) else _correction(result)
    return wrap(lines)


def _history(result: History) -> list[str]:
    if not result.corrections:
        return [f"{result.folder} was not corrected"]
    lines = []
    for number, one in enumerate(result.corrections, start=1):
        lines.append(f"{number}. {one.date}: {DID.get(one.what, one.what)}")
        lines += [f"  {_line(change)}" for change in one.changes]
    return [*lines, _undo(result.folder, len(result.corrections))]


def _correction(result: Corrected) -> list[str]:
    if not result.changes:
        return [f"{result.folder}: nothing changed", *(f"note: {one}" for one in result.notes)]
    lines = [f"{result.folder}: {DID[result.what]} in {result.seconds:.1f} s"]
    lines += [f"  {_line(change)}" for change in result.changes]
    for what, names in (("appended", result.appended), ("removed", result.removed)):
        lines += [f"{what}: the class {name}" for name in names]
    for what, pair in (("", result.accuracy), ("old classes, ", result.old)):
        if pair is not None:
            lines += [f"held out, {what}right before: {share_text(pair[0])}"]
            lines += [f"held out, {what}right now:    {share_text(pair[1])}"]
    lines += [f"note: {one}" for one in result.notes]
    return [*lines, _undo(result.folder, result.corrections)] if result.corrections else lines


def _line(change: Changed) -> str:
    if change.now is None:
        return f"{change.name}: was {_class(change.was)}"
    was = "" if change.was is None else f", was {_class(change.was)}"
    return f"{change.name}: {_class(change.now)}{was}"


def _class(name: str | None) -> str:
    return name or "one of the old classes"


def _undo(folder: str, count: int) -> str:
    last = "it" if count == 1 else f"the last of {count:,} corrections"
    return f"topfive teach {shlex.quote(folder)} --undo takes {last} back"


def describe_extension(result: Extended) -> str:
    """Return what was extended and what was measured, as text."""
    found = result.outcome
    before = [f"  old, right before: {share_text(found.before)}"] if result.layout else []
    now = "right now" if result.layout else "answered as before"
    lines = [
        f"{result.folder}: {result.network} with {len(result.classes):,} more: "
        f"{listing(result.classes)}",
        f"taught {result.pictures:,} pictures of new and {result.old_pictures:,} of old classes "
        f"in {result.seconds:.1f} s; held out and measured:",
        *before,
        f"  old, {now}: {share_text(found.after)}; McNemar's p = {found.p_value:.2g}",
        f"  old, taken for new: {share_text(found.taken)}",
        f"  new, recognised: {share_text(found.recognised)}",
        f"asked for: a cost of at most {result.cost:g} %; for that the new classes' scores were "
        f"moved by {result.offset:+.2f}",
    ]
    return wrap(lines)
