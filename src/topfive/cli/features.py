"""`topfive features`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options
from topfive.errors import TopfiveError
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.classification.feature_cache import Features
    from topfive.classification.pipeline import Response
    from topfive.sources.source import Source
    from topfive.system.progress import Pictures


@click.command()
@options.sources("Write the features to a .parquet file, or to a .npy with a .csv beside it.")
@options.model
@click.option("--force", is_flag=True, help="Replace FILE.")
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and no summary.")
@options.some_of_network(
    "recipe", "fit", "filter", "window", "weights", "precision", "device", "threads",
    "max_pixels", "offline",
)  # fmt: skip
def features(
    pictures: tuple[str, ...], output: Path, null: bool, force: bool, quiet: bool, **chosen: Any
) -> int:
    """Write what a network knows of pictures before it names them: their features.

    Pictures that are alike have similar features; `topfive similar` finds them. SOURCES are
    files, folders with all that is in them, patterns, tar and zip archives, http(s), s3://,
    gs:// and hf:// addresses, and @FILE for a list of names.

    Features are kept by the hash of a picture's bytes: each is computed once, and a run
    that was stopped goes on where it was.
    """
    if bool(pictures) == null:
        raise click.UsageError("name folders, pictures, archives or addresses, or give -0")
    from topfive.classification import feature_files
    from topfive.classification.classifier import Classifier
    from topfive.classification.feature_cache import open_features
    from topfive.sources import arguments
    from topfive.system.progress import show_pictures

    feature_files.check(output, force)
    return_memory()
    counted: list[int | None] = []

    def count() -> None:
        try:
            counted.append(arguments.count(pictures, recursive=True, unpack=True))
        except TopfiveError:  # which reading them raises as well
            counted.append(None)

    if null:
        found = arguments.read_names(sys.stdin.buffer)
    else:
        found = arguments.read(pictures, recursive=True, unpack=True)
        if not quiet:
            Thread(target=count, daemon=True).start()
    failures: Counter[str] = Counter()
    classifier = Classifier(**chosen, throughput=True)
    with (
        open_features(classifier) as known,
        show_pictures(lambda: counted[0] if counted else None, quiet) as shown,
    ):
        shown.begin(0)
        try:
            told = watched(known.responses(found), shown, failures)
            feature_files.write(output, classifier, told, force=force)
        except KeyboardInterrupt:
            print(f"topfive: {shown.done:,} pictures are done; the same command goes on from "
                  "there", file=sys.stderr)  # fmt: skip
            raise
    if not quiet:
        show(known, shown, failures, classifier.network.title)
    return 1 if failures else 0


def watched(
    responses: Iterable[tuple[Source, Response]], shown: Pictures, failures: Counter[str]
) -> Iterator[tuple[Source, Response]]:
    """Yield responses, and count them and the kinds of failures on the way."""
    from topfive.results import Failure

    for source, response in responses:
        failed = isinstance(response.values, Failure)
        if isinstance(response.values, Failure):
            failures[response.values.kind] += 1
        shown.step(failed)
        yield source, response


def show(known: Features, shown: Pictures, failures: Counter[str], network: str) -> None:
    """Print on standard error what came of a run."""
    from topfive.system.progress import describe

    kinds = ", ".join(f"{count:,} {kind}" for kind, count in failures.most_common())
    rate = describe(shown.shown, shown.done, 0, None, 0)
    print(
        f"{shown.done:,} pictures: {known.computed:,} computed by {network}, {known.known:,} known "
        f"from before, {shown.failed:,} failed{f' ({kinds})' if kinds else ''}; {rate} in "
        f"{shown.shown:,.1f} s",
        file=sys.stderr,
    )
