"""`topfive classify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options
from topfive.errors import EngineError, OutputError, PictureError

if TYPE_CHECKING:
    from topfive.classification.classifier import Classifier
    from topfive.classification.outputs import Result
    from topfive.results import Classification
    from topfive.sources.source import Source

# The keys of `outputs.FORMATS`, which is not imported for a help page; a test compares them.
FORMATS = ("text", "json", "jsonl", "csv")


@click.command()
@click.argument("pictures", nargs=-1)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="PICTURE",
    help="A picture (the tutorial's spelling).",
)
@options.answers
@click.option("-f", "--format", default="text", show_default=True, type=click.Choice(FORMATS))
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Write the picture with its first label drawn on it: a file, or a folder for several.",
)
@click.option("--show", is_flag=True, help="Show the picture with its first label.")
@click.option("-r", "--recursive", is_flag=True, help="Look into the folders in a folder.")
@options.network
def classify(
    pictures: tuple[str, ...], images: tuple[str, ...], top: int, format: str,
    save: Path | None, show: bool, recursive: bool, **chosen: Any,
) -> int:  # fmt: skip
    """Say what is in pictures.

    PICTURES are files, folders, patterns, http(s) addresses, or - for standard input.
    """
    arguments = (*pictures, *images)
    if not arguments:
        raise click.UsageError("name a picture, a folder, an address, or - for standard input")
    if chosen["backend"] == "openvino" and chosen["precision"] != "int8":
        from topfive.engines import blobs
        from topfive.networks import find

        card = find.find_network(chosen["network"])
        device = (chosen["device"] or blobs.DEFAULT_DEVICE).upper()
        target = blobs.Target(device, precision=chosen["precision"])
        blobs.read_ahead(card, chosen["weights"], target)
    from topfive.classification import outputs
    from topfive.classification.classifier import Classifier
    from topfive.sources import arguments as sources

    found = sources.read(arguments, recursive)
    first = list(islice(found, 2))
    several = len(first) > 1
    if save is not None:
        from topfive.pictures import annotate

        annotate.check_target(save, several)
    answers = Answers(Classifier(**chosen, wait=False), save, show)
    asked = {name: chosen[name] for name in ("hierarchy", "ancestors", "coverage", "reject")}
    results = answers.to(chain(first, found), top)
    for piece in outputs.FORMATS[format](results, several=several, top=top, **asked):
        write(piece)
    if format == "text" and chosen["network"] is None and answers.answered:
        title = answers.classifier.network.title
        print(f"topfive: {title} answered; --model NAME asks another (topfive networks)",
              file=sys.stderr)  # fmt: skip
    return 1 if answers.failed else 0


def write(text: str) -> None:
    """Write to standard output, at once: what was computed shall not be lost in a buffer.

    Raises:
        OutputError: it cannot be written.
    """
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise  # click ends quietly when the reader is gone
    except OSError as error:
        raise OutputError(f"cannot write the output: {error.strerror}") from error


class Answers:
    """The results in their order; what goes with one happens around it: a failure is said
    on standard error, a picture is drawn on after its text is out."""

    def __init__(self, classifier: Classifier, save: Path | None, show: bool) -> None:
        self.classifier = classifier
        self.save = save
        self.show = show
        self.taken: set[Path] = set()
        self.failed = self.answered = False

    def to(self, found: Iterable[Source], top: int) -> Iterator[Result]:
        """Yield a result for each source."""
        from topfive.results import Failure

        draws = self.save is not None or self.show
        # Drawing needs the content a second time, which a pipe or a server may not give.
        held = (_with_content(source) if draws else source for source in found)
        for source in held:
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
                annotate.save(drawn, source.name, self.save, self.taken)
            except PictureError as error:
                self._fail(source.name, str(error))
        if self.show:
            try:
                self.show = window.show(drawn, source.name)
            except EngineError as error:
                self.show = False
                print(f"topfive: {error}", file=sys.stderr)

    def _fail(self, name: str, message: str) -> None:
        from topfive.system.text import printable

        self.failed = True
        print(f"topfive: {printable(name)}: {printable(message)}", file=sys.stderr, flush=True)


def _with_content(source: Source) -> Source:
    try:
        return replace(source, content=source.read())
    except PictureError as error:
        return replace(source, content=error)
