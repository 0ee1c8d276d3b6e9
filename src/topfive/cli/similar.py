"""`topfive similar`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from topfive.classification import outputs
from topfive.cli import options, terminal
from topfive.errors import PictureError
from topfive.results import Failure
from topfive.sources import arguments
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.classification.feature_cache import Features
    from topfive.classification.feature_formats import Block
    from topfive.classification.pipeline import Response
    from topfive.classification.similarity import Matches, Result
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
    help="Where to search: a .parquet or .npy file from `topfive features`; or a folder, an "
    "archive or a bucket of pictures, whose features are computed once.",
)
@options.number("-k", "--count", default=12, help="Show the N most similar pictures.")
@options.output_format(*outputs.FORMATS)
@options.path(
    "--save",
    metavar="OUT",
    help="Save the pictures that were found as one: a .jpg, .png or .webp file, or a folder for "
    "several.",
)
@options.force
@options.quiet
@options.model
@options.all_of_network_but("backend")
@options.timeout
@click.pass_context
def similar(context: click.Context, /, pictures: tuple[str, ...], place: str, **chosen: Any) -> int:
    """Find the pictures that look most like others.

    PICTURES are files, folders, glob patterns, http(s) addresses, or - for standard input. If
    FILE is from `topfive features`, its network, recipe and precision are used.

    \b
    Examples:
      topfive similar photo.jpg --in photos/
      topfive similar photo.jpg --in photos.parquet --save found.jpg
    """
    from topfive.classification import feature_files, similarity
    from topfive.classification.classifier import Classifier
    from topfive.classification.feature_cache import open_features
    from topfive.pictures import annotate

    found = arguments.read(pictures)
    first = list(islice(found, 2))
    several = len(first) > 1
    format, save, count, quiet = (chosen.pop(name) for name in ("format", "save", "count", "quiet"))
    force = chosen.pop("force")
    if save is not None:
        annotate.check_target(save, several, force)
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
    with open_features(classifier) as known, terminal.Terminal(quiet) as listener:
        asked = Asked(known, place, made, count, save, force, listener)
        results = asked.results(chain(first, found))
        for piece in outputs.FORMATS[format](results, similarity.LAYOUT, several):
            terminal.write(piece)
    return 1 if listener.failed else 0


@dataclass(frozen=True)
class Asked:
    """Pictures that are asked about, and where to look for others like them: a file that was
    `made` of features, or pictures."""

    known: Features
    place: str
    made: bool
    count: int
    save: Path | None
    force: bool
    listener: terminal.Terminal
    taken: set[Path] = field(default_factory=set)

    def results(self, found: Iterable[Source]) -> Iterator[Result]:
        """Yield the result for each source, in their order."""
        from topfive.classification.similarity import Query, nearest

        # Drawing needs the content a second time, which a pipe or a server may not give.
        held = (
            source.hold(self.known.classifier.timeout) if self.save else source for source in found
        )
        responses = self.known.responses(held)
        while some := list(islice(responses, TOGETHER)):
            queries = [
                Query(source.name, response.sha256, response.values)
                for source, response in some
                if not isinstance(response.values, Failure)
            ]
            size = len(queries[0].features) if queries else 0
            matches = iter(nearest(queries, self.blocks(size), self.count))
            for source, response in some:
                if isinstance(response.values, Failure):
                    self.listener.fail(source.name, response.values.message)
                    yield response.values
                else:
                    one = next(matches)
                    yield one
                    if self.save is not None:
                        self.draw(source, one, self.save)

    def blocks(self, size: int) -> Iterator[Block]:
        """Yield all that may be like a picture with `size` features."""
        from topfive.classification import feature_files

        if self.made:
            yield from feature_files.read(Path(self.place))
            return
        self.listener.begin(None)
        pictures = arguments.read([self.place], recursive=True, unpack=True)
        responses = self.watched(self.known.responses(pictures))
        yield from feature_files.blocks(self.known.classifier, responses, size)
        self.listener.end()

    def watched(
        self, responses: Iterable[tuple[Source, Response]]
    ) -> Iterator[tuple[Source, Response]]:
        """Yield responses, and let the listener hear of them."""
        for source, response in responses:
            failed = response.values if isinstance(response.values, Failure) else None
            self.listener.add(source.name, failed)
            yield source, response

    def draw(self, source: Source, found: Matches, target: Path) -> None:
        """Save a contact sheet of what was found."""
        from topfive.classification import similarity
        from topfive.pictures import annotate

        classifier = self.known.classifier
        try:
            sheet = similarity.sheet(classifier.decode(source), found, classifier.max_pixels)
            annotate.save(sheet, source.name, target, self.taken, self.force)
        except PictureError as error:
            self.listener.fail(source.name, str(error))
