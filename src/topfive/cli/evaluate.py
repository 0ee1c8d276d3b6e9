"""`topfive evaluate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options
from topfive.networks.cards import PRECISIONS, RECIPES
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.classification.classifier import Classifier
    from topfive.evaluation.evaluate import EvaluationListener
    from topfive.evaluation.evaluations import Comparison
    from topfive.evaluation.ground_truth import GroundTruth
    from topfive.results import Failure

FORMATS = ("text", "json", "markdown")
SHOWN = 5  # names of files


@click.command()
@click.argument("folder", metavar="DIR")
@click.option(
    "-m",
    "--model",
    "--network",
    "models",
    multiple=True,
    show_default=options.DEFAULT,
    metavar="NAME",
    help="A network; may be repeated, as --precision and --recipe may: all combinations are "
    "measured, one after the other.",
)
@options.truth
@click.option(
    "--restrict", is_flag=True, help="Let the networks choose among the classes in DIR alone."
)
@click.option("-f", "--format", default="text", show_default=True, type=click.Choice(FORMATS))
@click.option("--per-class", is_flag=True, help="Show every class, not the weakest alone.")
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a report, too: .html, .md or .json.",
)
@click.option(
    "--review",
    type=click.IntRange(1),
    metavar="N",
    help="Draw the N pictures that the networks disagree on most, or one is most wrong about.",
)
@click.option(
    "--review-to",
    default="review.jpg",
    show_default=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where --review draws to.",
)
@click.option("-q", "--quiet", is_flag=True, help="Show no progress.")
@click.option(
    "--recipe",
    "recipes",
    multiple=True,
    default=("default",),
    show_default=True,
    type=click.Choice(RECIPES),
    help="How a photograph becomes the network's square: the most accurate known way, or "
    "Keras's load_img.",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    default=("f32",),
    show_default=True,
    type=click.Choice(PRECISIONS),
    help="Compute in fewer bits, where the device has them; int8 needs `topfive quantize`.",
)
@options.some_of_network(
    "fit",
    "filter",
    "window",
    "weights",
    "backend",
    "device",
    "threads",
    "max_pixels",
    "offline",
)
def evaluate(
    folder: str, models: tuple[str, ...], precisions: tuple[str, ...], recipes: tuple[str, ...],
    format: str, per_class: bool, report: Path | None, review: int | None,
    review_to: Path, quiet: bool, **chosen: Any,
) -> int:  # fmt: skip
    """Measure how good networks are on pictures whose classes are known.

    DIR holds folders named by WordNet id, index or label; or pictures whose names begin with
    a WordNet id; or pictures that --truth names. It may be an archive or a bucket.
    """
    from topfive.evaluation import evaluate as evaluating

    if review is not None:
        check_review(review_to, folder)
    if report is not None:
        from topfive.evaluation import report as reports

        reports.check(report)
    return_memory()
    with terminal(quiet) as listener:
        comparison = evaluating.evaluate(
            folder, models, precisions=precisions, recipes=recipes, listener=listener, **chosen
        )
    try:
        if report is not None:
            reports.write(comparison, report, max_pixels=chosen["max_pixels"])
        if review is not None:
            write_review(comparison, review, review_to, chosen["max_pixels"])
    finally:  # what took hours to measure is said in any case
        say(comparison, format, per_class)
    return 1 if any(one.failures for one in comparison.evaluations) else 0


def check_review(file: Path, folder: str) -> None:
    """Refuse a file that a contact sheet cannot be written to, before any work is done."""
    from topfive.pictures.annotate import SUFFIXES

    if file.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"{file}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not file.parent.is_dir() or file.is_dir():
        raise click.UsageError(f"{file}: expected a file in a folder that is there")
    if Path(folder).resolve() in file.resolve().parents:
        raise click.UsageError(f"{file} would lie among the pictures; name another --review-to")


def write_review(comparison: Comparison, number: int, file: Path, max_pixels: int) -> None:
    """Draw the pictures that a person should look at, or say that there are none."""
    from topfive.evaluation import review
    from topfive.pictures import annotate

    first, *others = comparison.evaluations
    if comparison.disagreements if others else review.worst(first, 1):
        annotate.save(review.review(comparison, number, max_pixels), "", file, set())
    else:
        print(f"topfive: nothing to review, {file} is not drawn", file=sys.stderr)


def say(comparison: Comparison, format: str, per_class: bool) -> None:
    """Print a comparison on standard output."""
    if format == "text":
        from topfive.cli.evaluate_text import show

        show(comparison, per_class)
        return
    from topfive.cli.classify import write
    from topfive.evaluation import report as reports

    for piece in reports.FORMATS[format](comparison):
        write(piece)


@contextmanager
def terminal(quiet: bool) -> Iterator[EvaluationListener]:
    """Give what shows on standard error how an evaluation goes on: what is left out, a bar
    for each network, each failure once."""
    from topfive.evaluation import evaluate as evaluating
    from topfive.system.progress import show_pictures
    from topfive.system.text import printable

    def tell(text: str) -> None:
        print(f"topfive: {printable(text)}", file=sys.stderr, flush=True)

    class Terminal(evaluating.EvaluationListener):
        def found(self, truth: GroundTruth) -> None:
            self.total, names = len(truth), truth.unlabelled
            self.said: set[Failure] = set()
            if names:
                more = ", …" if len(names) > SHOWN else ""
                tell(f"without a class, left out: {len(names):,} files: "
                     f"{', '.join(names[:SHOWN])}{more}")  # fmt: skip

        def begin(self, classifier: Classifier) -> None:
            bar.close()  # that of the network before
            if not quiet:
                tell(f"{classifier.network.name}, {classifier.precision}, {classifier.recipe}")
            self.shown = bar.enter_context(show_pictures(lambda: self.total, quiet))
            self.shown.begin(0)

        def add(self, source: str, failure: Failure | None) -> None:
            self.shown.step(failure is not None)
            if failure is not None and failure not in self.said:
                self.said.add(failure)
                tell(f"{source}: {failure.message}")

        def warn(self, text: str) -> None:
            tell(text)

    with ExitStack() as bar:
        yield Terminal()
