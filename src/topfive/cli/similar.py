"""`topfive similar`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from topfive.cli import options
from topfive.cli.classify import FORMATS, write
from topfive.errors import PictureError
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.classification.feature_cache import Features
    from topfive.classification.feature_formats import Block
    from topfive.classification.pipeline import Response
    from topfive.classification.similarity import Matches, Query, Result
    from topfive.sources.source import Source

RECORDED = ("network", "recipe", "fit", "filter", "window", "precision")
TOGETHER = 32  # pictures that are asked about in one pass over the others


@click.command()
@click.argument("pictures", metavar="PICTURES...", nargs=-1, required=True)
@click.option(
    "--in",
    "place",
    required=True,
    metavar="FILE",
    help="Where to look: a .parquet or .npy file that `topfive features` made; or a folder, an "
    "archive or a bucket of pictures, whose features are computed once.",
)
@click.option(
    "-k",
    "--count",
    default=12,
    show_default=True,
    type=click.IntRange(1),
    help="How many pictures to name.",
)
@click.option("-f", "--format", default="text", show_default=True, type=click.Choice(FORMATS))
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Draw the pictures that were found: a .jpg, .png or .webp file, or a folder for several.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@options.model
@options.some_of_network(
    "recipe", "fit", "filter", "window", "weights", "precision", "device", "threads",
    "max_pixels", "offline",
)  # fmt: skip
@click.pass_context
def similar(
    context: click.Context, /, pictures: tuple[str, ...], place: str, count: int, format: str,
    save: Path | None, quiet: bool, **chosen: Any,
) -> int:  # fmt: skip
    """Find the pictures that are most like others.

    PICTURES are files, folders, patterns, http(s) addresses, or - for standard input. A FILE
    says by which network, recipe and precision it was made; these are used.
    """
    from topfive.classification import feature_files, similarity
    from topfive.classification.classifier import Classifier
    from topfive.classification.feature_cache import open_features
    from topfive.pictures import annotate
    from topfive.sources import arguments

    found = arguments.read(pictures)
    first = list(islice(found, 2))
    several = len(first) > 1
    if save is not None:
        annotate.check_target(save, several)
    return_memory()
    made = feature_files.is_name(place)
    if made:
        for name in RECORDED:
            if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
                option = "--model" if name == "network" else f"--{name}"
                raise click.UsageError(f"{place} says what it was made with; leave out {option}")
            del chosen[name]
        classifier = feature_files.find_classifier(Path(place), **chosen)
    else:
        classifier = Classifier(**chosen, throughput=True)
    with open_features(classifier) as known:
        asked = Asked(known, place, made, count, save, quiet)
        results = asked.results(chain(first, found))
        for piece in similarity.FORMATS[format](results, several=several):
            write(piece)
    return 1 if asked.failed else 0


class Asked:
    """Pictures that are asked about, and where to look for others like them; what is in the
    way of one is said on standard error."""

    def __init__(
        self, known: Features, place: str, made: bool, count: int, save: Path | None, quiet: bool
    ) -> None:
        self.known, self.count, self.save, self.quiet = known, count, save, quiet
        self.place, self.made = place, made
        self.taken: set[Path] = set()
        self.said: set[str] = set()
        self.failed = False

    def results(self, found: Iterable[Source]) -> Iterator[Result]:
        """Yield the result for each source, in their order."""
        from topfive.classification.similarity import Query
        from topfive.results import Failure

        # Drawing needs the content a second time, which a pipe or a server may not give.
        held = (_with_content(source) if self.save else source for source in found)
        responses = self.known.responses(held)
        while some := list(islice(responses, TOGETHER)):
            queries = [
                Query(source.name, response.sha256, response.values)
                for source, response in some
                if not isinstance(response.values, Failure)
            ]
            matches = iter(self.matches(queries) if queries else ())
            for source, response in some:
                if isinstance(response.values, Failure):
                    self.fail(source.name, response.values.message)
                    yield response.values
                else:
                    one = next(matches)
                    yield one
                    if self.save is not None:
                        self.draw(source, one, self.save)

    def matches(self, queries: list[Query]) -> list[Matches]:
        """Return what is most like each."""
        from topfive.classification.similarity import nearest

        return nearest(queries, self.blocks(len(queries[0].features)), self.count)

    def blocks(self, size: int) -> Iterator[Block]:
        """Yield all that may be like a picture with `size` features."""
        from topfive.classification import feature_files
        from topfive.results import Failure
        from topfive.sources import arguments
        from topfive.system.progress import show_pictures

        if self.made:
            yield from feature_files.read(Path(self.place))
            return
        with show_pictures(lambda: None, self.quiet) as shown:

            def responses() -> Iterator[tuple[Source, Response]]:
                found = arguments.read([self.place], recursive=True, unpack=True)
                for source, response in self.known.responses(found):
                    if isinstance(response.values, Failure):
                        self.fail(source.name, response.values.message)
                    shown.step(isinstance(response.values, Failure))
                    yield source, response

            shown.begin(0)
            yield from feature_files.blocks(self.known.classifier, responses(), size)

    def draw(self, source: Source, found: Matches, target: Path) -> None:
        """Save a contact sheet of what was found."""
        from topfive.classification import similarity
        from topfive.pictures import annotate

        classifier = self.known.classifier
        try:
            sheet = similarity.sheet(classifier.decode(source), found, classifier.max_pixels)
            annotate.save(sheet, source.name, target, self.taken)
        except PictureError as error:
            self.fail(source.name, str(error))

    def fail(self, name: str, message: str) -> None:
        """Say what is in the way of a picture, once."""
        from topfive.system.text import printable

        self.failed = True
        line = f"topfive: {printable(name)}: {printable(message)}"
        if line not in self.said:
            self.said.add(line)
            print(line, file=sys.stderr, flush=True)


def _with_content(source: Source) -> Source:
    try:
        return replace(source, content=source.read())
    except PictureError as error:
        return replace(source, content=error)
