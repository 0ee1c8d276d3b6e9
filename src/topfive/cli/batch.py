"""`topfive batch`."""

from __future__ import annotations

import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options, terminal
from topfive.errors import PictureError
from topfive.networks.find import find_network
from topfive.sources import arguments
from topfive.system.processes import return_memory
from topfive.system.progress import Pictures, describe
from topfive.system.text import printable

if TYPE_CHECKING:
    from topfive.batches.journal import Summary
    from topfive.results import RowDict

SHOWN = 10  # classes in the summary


@click.command()
@options.sources("The table to write: a .parquet, .jsonl or .csv file.")
@options.answers
@click.option(
    "--where",
    multiple=True,
    metavar="CONDITION",
    help="Only write rows whose best class matches: a class or a category (dog), or one with a "
    "minimum probability ('dog>0.5', 'first>=90%'). If repeated, all must match.",
)
@options.path(
    "--copy-to",
    metavar="DIR",
    help="Copy each picture into a folder in DIR named after its best class.",
)
@options.path("--move-to", metavar="DIR", help="Move the pictures there.")
@options.path("--link-to", metavar="DIR", help="Create links there.")
@options.flag(
    "--by-ancestor",
    help="Name these folders after the --ancestor of the best class, or else other.",
)
@options.flag("--unordered", help="Write rows as they finish, not in input order.")
@options.flag("--watch", help="Keep running as pictures arrive, until Ctrl-C.")
@options.flag("--restart", help="Start over instead of continuing a stopped run.")
@click.option(
    "--ray",
    metavar="local|auto|ADDRESS",
    help="Distribute the work with Ray, on this machine (local) or on a cluster.",
)
@options.number("--readers", help="Number of threads that read and decode pictures.")
@options.flag("-q", "--quiet", help="Show no progress and no summary.")
@options.network
@options.timeout
def batch(pictures: tuple[str, ...], null: bool, quiet: bool, **chosen: Any) -> int:
    """Classify folders of pictures into one table.

    The table has one row per picture. SOURCES are files, folders with all their subfolders,
    glob patterns, tar and zip archives, http(s), s3://, gs:// and hf:// addresses, and @FILE
    for a list of names.

    If a run is stopped, the same command continues it. Until a run is complete, its rows are
    in FILE.partial.

    \b
    Examples:
      topfive batch photos/ -o photos.csv
      topfive batch photos/ -o dogs.csv --where 'dog>0.5' --copy-to dogs/
    """
    options.check_sources(pictures, null)
    ways = {how: chosen.pop(f"{how}_to") for how in ("copy", "move", "link")}
    places = [(how, folder) for how, folder in ways.items() if folder is not None]
    if len(places) > 1:
        raise click.UsageError("give one of --copy-to, --move-to and --link-to")
    by_ancestor, ordered = chosen.pop("by_ancestor"), not chosen.pop("unordered")
    if by_ancestor and not (places and chosen["ancestors"]):
        raise click.UsageError(
            "--by-ancestor needs --ancestor, and --copy-to, --move-to or --link-to"
        )
    from topfive.batches import batch as batches
    from topfive.batches.batch import BatchListener, Placement

    class Shown(BatchListener):
        def begin(self, found: int) -> None:
            shown.begin(found)

        def add(self, row: RowDict) -> None:
            shown.step(row["error"] is not None)

        def complain(self, name: str, error: PictureError) -> None:
            terminal.tell(f"{name}: {error}")

    return_memory()
    unknown = null or chosen["watch"]
    with terminal.count_done(None if unknown else pictures, quiet) as shown:
        summary = batches.batch(
            arguments.read_names(sys.stdin.buffer) if null else pictures,
            ordered=ordered,
            placement=Placement(*places[0], by_ancestor) if places else None,
            listener=Shown(),
            **chosen,
        )
    if not quiet:
        show(summary, shown, find_network(chosen["network"]).title)
    return 1 if summary.failures or summary.unplaced else 0


def show(summary: Summary, shown: Pictures, network: str) -> None:
    """Print on standard error what came of a run: counts, which network answered, rate, failures
    by their kind, and the most frequent first labels with bars."""
    from rich.bar import Bar

    console = terminal.console(stderr=True)
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
        table = terminal.table(title, "", "", gap=1)
        for name, count in counts.items():
            bar = Bar(max(counts.values()), 0, count, width=30)
            table.add_row(printable(name), f"{count:,}", bar)
        if counts:
            console.print("", table)
