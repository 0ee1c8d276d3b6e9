"""`topfive classify`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.errors import EngineError, OutputError, PictureError
from topfive.networks import DEFAULT_NETWORK, FILTERS, FITS, RECIPES

if TYPE_CHECKING:
    from topfive.classifier import Classifier
    from topfive.outputs import Result
    from topfive.results import Classification
    from topfive.sources import Source

# The keys of `classifier.ENGINES` and `outputs.FORMATS`, and `sources.MAX_PIXELS`, which are
# not imported for a help page; a test compares them.
BACKENDS = ("openvino", "tensorflow", "jax", "torch")
FORMATS = ("text", "json", "jsonl", "csv")
MAX_PIXELS = 100_000_000


@click.command()
@click.argument("pictures", nargs=-1)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="PICTURE",
    help="A picture (the tutorial's spelling).",
)
@click.option(
    "-m",
    "--model",
    "--network",
    "network",
    default=DEFAULT_NETWORK,
    show_default=True,
    metavar="NAME",
    help="The network; `topfive networks` lists them.",
)
@click.option(
    "-k",
    "--top",
    default=5,
    show_default=True,
    type=click.IntRange(1),
    help="How many classes to print.",
)
@click.option(
    "--hierarchy",
    is_flag=True,
    help="Say the most specific that is likely, in WordNet's words: dog 97%, beagle 61%.",
)
@click.option(
    "--ancestor",
    "ancestors",
    multiple=True,
    metavar="NAME",
    help="Add up the classes under a word (dog) or a WordNet id; may be repeated.",
)
@click.option("-f", "--format", default="text", show_default=True, type=click.Choice(FORMATS))
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    metavar="OUT",
    help="Write the picture with its first label drawn on it: a file, or a folder for several.",
)
@click.option("--show", is_flag=True, help="Show the picture with its first label.")
@click.option("-r", "--recursive", is_flag=True, help="Look into the folders in a folder.")
@click.option(
    "--recipe",
    default="default",
    show_default=True,
    type=click.Choice(RECIPES),
    help="How a photograph becomes the network's square: the most accurate known "
    "way, or Keras's load_img.",
)
@click.option(
    "--fit",
    type=click.Choice(FITS),
    help="Override the recipe: the whole picture, its centre, or the whole with borders.",
)
@click.option("--filter", type=click.Choice(FILTERS), help="Override the recipe's filter.")
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Other weights: .h5, .weights.h5, .keras, or SqueezeNet's .net.",
)
@click.option("--backend", default="openvino", show_default=True, type=click.Choice(BACKENDS))
@click.option("--device", help="OpenVINO's CPU, GPU, NPU or AUTO.  [default: CPU]")
@click.option("--threads", type=click.IntRange(1), help="How many CPU threads OpenVINO uses.")
@click.option(
    "--max-pixels",
    default=MAX_PIXELS,
    show_default=True,
    type=click.IntRange(1),
    help="Refuse larger pictures.",
)
@click.option("--offline", is_flag=True, help="Download no weights.")
def classify(
    pictures: tuple[str, ...], images: tuple[str, ...], top: int, format: str,
    save: Path | None, show: bool, recursive: bool, **options: Any,
) -> int:  # fmt: skip
    """Say what is in pictures.

    PICTURES are files, folders, patterns, http(s) addresses, or - for standard input.
    """
    arguments = (*pictures, *images)
    if not arguments:
        raise click.UsageError("name a picture, a folder, an address, or - for standard input")
    if options["backend"] == "openvino":
        from topfive import blobs, networks

        card = networks.find_network(options["network"])
        blobs.read_ahead(
            card, options["weights"], (options["device"] or blobs.DEFAULT_DEVICE).upper()
        )
    from topfive import outputs, sources
    from topfive.classifier import Classifier

    found = sources.read(arguments, recursive)
    first = list(islice(found, 2))
    several = len(first) > 1
    if save is not None:
        from topfive import annotate

        annotate.check_target(save, several)
    answers = Answers(Classifier(**options, wait=False), save, show)
    asked = {name: options[name] for name in ("hierarchy", "ancestors")}
    results = answers.to(chain(first, found), top)
    for piece in outputs.FORMATS[format](results, several=several, top=top, **asked):
        write(piece)
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
        self.failed = False

    def to(self, found: Iterable[Source], top: int) -> Iterator[Result]:
        """Yield a result for each source."""
        from topfive.results import Failure

        draws = self.save is not None or self.show
        # Drawing needs the content a second time, which a pipe or a server may not give.
        held = (_with_content(source) if draws else source for source in found)
        for source in held:
            (result,) = self.classifier.stream([source], top)
            if isinstance(result, Failure):
                self._fail(source.name, result.message)
                yield result
                continue
            yield result
            if draws:
                self._draw(source, result)

    def _draw(self, source: Source, result: Classification) -> None:
        from topfive import annotate

        drawn = annotate.draw(self.classifier.decode(source), result)
        if self.save is not None:
            try:
                annotate.save(drawn, source.name, self.save, self.taken)
            except PictureError as error:
                self._fail(source.name, str(error))
        if self.show:
            try:
                self.show = annotate.show(drawn, source.name)
            except EngineError as error:
                self.show = False
                print(f"topfive: {error}", file=sys.stderr)

    def _fail(self, name: str, message: str) -> None:
        from topfive.outputs import printable

        self.failed = True
        print(f"topfive: {printable(name)}: {printable(message)}", file=sys.stderr, flush=True)


def _with_content(source: Source) -> Source:
    try:
        return replace(source, content=source.read())
    except PictureError as error:
        return replace(source, content=error)
