"""`topfive features`."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options, terminal
from topfive.results import Failure
from topfive.sources import arguments
from topfive.system.processes import return_memory
from topfive.system.progress import Pictures, describe
from topfive.system.text import printable

if TYPE_CHECKING:
    from topfive.classification.feature_cache import Features
    from topfive.classification.pipeline import Response
    from topfive.sources.source import Source


@click.command()
@options.sources("The file to write: .parquet, or .npy with a .csv beside it.")
@options.model
@options.force
@options.flag("-q", "--quiet", help="Show no progress and no summary.")
@options.all_of_network_but("backend")
@options.timeout
def features(
    pictures: tuple[str, ...], output: Path, null: bool, force: bool, quiet: bool, **chosen: Any
) -> int:
    """Write the feature vectors of pictures to a file.

    A feature vector is the input of the network's last layer. Similar pictures have similar
    vectors, and `topfive similar` searches them.

    SOURCES are files, folders with all their subfolders, glob patterns, tar and zip archives,
    http(s), s3://, gs:// and hf:// addresses, and @FILE for a list of names.

    Vectors are cached by the picture's content, so each is computed only once. If a run is
    stopped, the same command continues it.

    \b
    Examples:
      topfive features photos/ -o photos.parquet
      topfive similar photo.jpg --in photos.parquet
    """
    options.check_sources(pictures, null)
    from topfive.classification import feature_files
    from topfive.classification.classifier import Classifier
    from topfive.classification.feature_cache import open_features

    feature_files.check(output, force)
    return_memory()
    if null:
        found = arguments.read_names(sys.stdin.buffer)
    else:
        found = arguments.read(pictures, recursive=True, unpack=True)
    failures: Counter[str] = Counter()
    classifier = Classifier(**chosen, throughput=True)
    with (
        open_features(classifier) as known,
        terminal.count_done(None if null else pictures, quiet) as shown,
    ):
        told = watched(known.responses(found), shown, failures)
        feature_files.write(output, classifier, told, force=force)
    if not quiet:
        show(known, shown, failures, classifier.network.title)
    return 1 if failures else 0


def watched(
    responses: Iterable[tuple[Source, Response]], shown: Pictures, failures: Counter[str]
) -> Iterator[tuple[Source, Response]]:
    """Yield responses, and count them and the kinds of failures on the way."""
    for source, response in responses:
        if isinstance(response.values, Failure):
            failures[response.values.kind] += 1
        shown.step(isinstance(response.values, Failure))
        yield source, response


def show(known: Features, shown: Pictures, failures: Counter[str], network: str) -> None:
    """Print on standard error what came of a run."""
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in failures.most_common())
    rate = describe(shown.shown, shown.done, 0, None, 0)
    print(
        f"{shown.done:,} pictures: {known.computed:,} computed by {printable(network)}, "
        f"{known.known:,} known "
        f"from before, {shown.failed:,} failed{f' ({kinds})' if kinds else ''}; {rate} in "
        f"{shown.shown:,.1f} s",
        file=sys.stderr,
    )
