"""`topfive classify`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.classification import outputs
from topfive.cli import options, terminal
from topfive.engines.blobs import read_ahead
from topfive.errors import EngineError, PictureError
from topfive.networks.find import find_network
from topfive.results import Classification, Failure
from topfive.sources import arguments

if TYPE_CHECKING:
    from topfive.classification.classifier import Classifier
    from topfive.sources.source import Source


@click.command()
@click.argument("pictures", nargs=-1)
@click.option(
    "--image", "images", multiple=True, metavar="PICTURE", help="The same as the argument PICTURES."
)
@options.answers
@options.output_format(*outputs.FORMATS)
@options.path(
    "--save",
    metavar="OUT",
    help="Save the picture with the best class drawn on it: a file, or a folder for several.",
)
@options.force
@options.flag("--show", help="Show the picture with the best class in a window.")
@options.recursive
@options.network
@options.timeout
def classify(
    pictures: tuple[str, ...], images: tuple[str, ...], recursive: bool, **chosen: Any
) -> int:
    """Name what is in pictures.

    PICTURES are files, folders, glob patterns, http(s) addresses, or - for standard input.

    \b
    Examples:
      topfive classify photo.jpg
      topfive classify photos/ --model resnet50 --format csv
    """
    names = (*pictures, *images)
    if not names:
        raise click.UsageError("name a picture, a folder, an address, or - for standard input")
    engine = (chosen[name] for name in ("weights", "backend", "device", "precision"))
    read_ahead(find_network(chosen["network"]), *engine)
    from topfive.classification.classifier import Classifier
    from topfive.pictures import annotate

    found = arguments.read(names, recursive)
    first = list(islice(found, 2))
    several = len(first) > 1
    format, save, show, top = (chosen.pop(name) for name in ("format", "save", "show", "top"))
    force = chosen.pop("force")
    if save is not None:
        annotate.check_target(save, several, force)
    answers = Answers(Classifier(**chosen, wait=False), save, show, force)
    asked = {name: chosen[name] for name in ("hierarchy", "ancestors", "coverage", "reject")}
    results = answers.to(chain(first, found), top)
    layout = outputs.Wanted(top, **asked).layout()
    for piece in outputs.FORMATS[format](results, layout, several):
        terminal.write(piece)
    if format == "text" and chosen["network"] is None and answers.answered:
        title = answers.classifier.network.title
        terminal.tell(f"{title} answered; --model NAME asks another (topfive networks)")
    return 1 if answers.failed else 0


class Answers:
    """The results in their order; what goes with one happens around it: a failure is said
    on standard error, a picture is drawn on after its text is out."""

    def __init__(self, classifier: Classifier, save: Path | None, show: bool, force: bool) -> None:
        self.classifier, self.save, self.show, self.force = classifier, save, show, force
        self.taken: set[Path] = set()
        self.failed = self.answered = False

    def to(self, found: Iterable[Source], top: int) -> Iterator[outputs.Result]:
        """Yield a result for each source."""
        draws = self.save is not None or self.show
        # Drawing needs the content a second time, which a pipe or a server may not give.
        timeout = self.classifier.timeout
        for source in (source.hold(timeout) if draws else source for source in found):
            result = self.classifier.answer(source, top)
            if isinstance(result, Failure):
                self._fail(source.name, result.message)
                yield result
                continue
            self.answered = True
            yield result
            if draws:
                self._draw(source, result)

    def _draw(self, source: Source, result: Classification) -> None:
        from topfive.pictures import annotate, window

        drawn = annotate.draw(self.classifier.decode(source), result)
        if self.save is not None:
            try:
                annotate.save(drawn, source.name, self.save, self.taken, self.force)
            except PictureError as error:
                self._fail(source.name, str(error))
        if self.show:
            try:
                self.show = window.show(drawn, source.name)
            except EngineError as error:
                self.show = False
                terminal.tell(str(error))

    def _fail(self, name: str, message: str) -> None:
        self.failed = True
        terminal.tell(f"{name}: {message}")
