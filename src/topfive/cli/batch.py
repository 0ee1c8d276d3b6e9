"""`topfive batch`."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options
from topfive.errors import PictureError, TopfiveError
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.batches.journal import Summary
    from topfive.system.progress import Pictures

SHOWN = 10  # classes in the summary


@click.command()
@options.sources("Write the rows to a .parquet, .jsonl or .csv file.")
@options.answers
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Keep the rows whose first label is a class or under an ancestor (dog), or that are "
    "probable enough: 'dog>0.5', 'first>=90%'. All that are given have to hold.",
)
@click.option("--copy-to", type=click.Path(path_type=Path), metavar="DIR",
              help="Copy each picture to a folder in DIR named after its first label.")  # fmt: skip
@click.option("--move-to", type=click.Path(path_type=Path), metavar="DIR", help="Move it there.")
@click.option("--link-to", type=click.Path(path_type=Path), metavar="DIR", help="Link to it there.")
@click.option(
    "--by-ancestor",
    is_flag=True,
    help="Name the folders after the --ancestor that the first label is under, else other.",
)
@click.option("--unordered", is_flag=True, help="Write rows as they are done, not in input order.")
@click.option("--watch", is_flag=True, help="Go on as pictures arrive, until Ctrl-C.")
@click.option("--restart", is_flag=True, help="Begin anew, whatever is there.")
@click.option(
    "--ray",
    metavar="local|auto|ADDRESS",
    help="Spread the work with Ray: over this machine, or a cluster's.",
)
@click.option("--readers", type=click.IntRange(1), help="How many threads read and decode.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary.")
@options.network
def batch(
    pictures: tuple[str, ...], null: bool, copy_to: Path | None, move_to: Path | None,
    link_to: Path | None, by_ancestor: bool, unordered: bool, quiet: bool, **chosen: Any,
) -> int:  # fmt: skip
    """Classify folders of pictures into one file, a row each.

    SOURCES are files, folders with all that is in them, patterns, tar and zip archives,
    http(s), s3://, gs:// and hf:// addresses, and @FILE for a list of names.

    A run that was stopped, however, goes on where it was with the same command. Until it is
    complete, its rows are in FILE.partial.
    """
    if bool(pictures) == null:
        raise click.UsageError("name folders, pictures, archives or addresses, or give -0")
    ways = {"copy": copy_to, "move": move_to, "link": link_to}
    places = [(how, folder) for how, folder in ways.items() if folder is not None]
    if len(places) > 1:
        raise click.UsageError("give one of --copy-to, --move-to and --link-to")
    if by_ancestor and not (places and chosen["ancestors"]):
        raise click.UsageError(
            "--by-ancestor needs --ancestor, and --copy-to, --move-to or --link-to"
        )
    from topfive.batches import batch as batches
    from topfive.batches.batch import Placement
    from topfive.batches.run import BatchListener
    from topfive.networks.find import find_network
    from topfive.sources import arguments
    from topfive.system.progress import show_pictures
    from topfive.system.text import printable

    return_memory()
    counted: list[int | None] = []

    def count() -> None:
        try:
            counted.append(arguments.count(pictures, recursive=True, unpack=True))
        except TopfiveError:  # which reading them raises as well
            counted.append(None)

    class Terminal(BatchListener):
        def begin(self, found: int) -> None:
            shown.begin(found)

        def add(self, row: Mapping[str, Any]) -> None:
            shown.step(row["error"] is not None)

        def complain(self, name: str, error: PictureError) -> None:
            line = f"topfive: {printable(name)}: {printable(str(error))}"
            print(line, file=sys.stderr, flush=True)

    if not (null or quiet or chosen["watch"]):
        Thread(target=count, daemon=True).start()
    with show_pictures(lambda: counted[0] if counted else None, quiet) as shown:
        try:
            summary = batches.batch(
                arguments.read_names(sys.stdin.buffer) if null else pictures,
                ordered=not unordered,
                placement=Placement(*places[0], by_ancestor) if places else None,
                listener=Terminal(),
                **chosen,
            )
        except KeyboardInterrupt:
            done = f"topfive: {shown.found + shown.done:,} pictures are done"
            print(f"{done}; the same command goes on from there", file=sys.stderr)
            raise
    if not quiet:
        show(summary, shown, find_network(chosen["network"]).title)
    return 1 if summary.failures or summary.unplaced else 0


def show(summary: Summary, shown: Pictures, network: str) -> None:
    """Print on standard error what came of a run: counts, which network answered, rate, failures
    by their kind, and the most frequent first labels with bars."""
    from rich.bar import Bar
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from topfive.system.progress import describe
    from topfive.system.text import printable

    console = Console(stderr=True, highlight=False)
    failed = sum(summary.failures.values())
    console.print(
        f"{summary.rows:,} pictures: {summary.rows - failed:,} answered by {network}, "
        f"{failed:,} failed; "
        f"{describe(shown.shown, shown.done, 0, None, 0)} in {shown.shown:,.1f} s"
    )
    if summary.placed or summary.unplaced:
        console.print(f"{summary.placed:,} sorted into folders, {summary.unplaced:,} could not be")
    frequent = dict(islice(summary.labels.items(), SHOWN))
    for title, counts in (("most frequent", frequent), ("failures", summary.failures)):
        table = Table(title, "", "", box=None, header_style="", padding=(0, 1, 0, 0))
        table.columns[1].justify = "right"
        for name, count in counts.items():
            bar = Bar(max(counts.values()), 0, count, width=30)
            table.add_row(Text(printable(name)), f"{count:,}", bar)
        if counts:
            console.print("", table)
