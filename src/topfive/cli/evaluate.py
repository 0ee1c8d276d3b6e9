"""`topfive evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topfive.cli import options, terminal
from topfive.system.files import check_free
from topfive.system.processes import return_memory

if TYPE_CHECKING:
    from topfive.classification.classifier import Classifier
    from topfive.evaluation.evaluations import Comparison
    from topfive.evaluation.ground_truth import GroundTruth

SHOWN = 5  # names of files


@click.command()
@click.argument("folder", metavar="DIR")
@options.models(
    help="A network to measure. --model, --precision and --recipe may be repeated; all "
    "combinations are measured."
)
@options.truth
@options.flag("--restrict", help="Only allow the classes in DIR as answers.")
@options.output_format("text", "json", "markdown")
@options.flag("--per-class", help="Show all classes, not only the weakest.")
@options.path("--report", help="Also write a report: .html, .md or .json.")
@options.number(
    "--review",
    help="Also save the N pictures most worth a look: those on which the networks disagree, or "
    "the most confident errors of a single one.",
)
@options.path("--review-to", default="review.jpg", help="The file that --review writes.")
@options.force
@options.quiet
@options.recipes
@options.precisions
@options.all_of_network_but("recipe", "precision")
def evaluate(folder: str, format: str, per_class: bool, quiet: bool, **chosen: Any) -> int:
    """Measure accuracy on pictures whose classes are known.

    DIR is a folder, an archive or a bucket. It holds a folder for each class, named by WordNet
    id, index or label; or pictures whose names begin with a WordNet id; or pictures whose
    classes are in the --truth file.

    \b
    Examples:
      topfive evaluate photos/
      topfive evaluate photos/ -m vgg16 -m resnet50 --report report.html
    """
    from topfive.evaluation import evaluate as evaluating

    report, review, review_to = (chosen.pop(one) for one in ("report", "review", "review_to"))
    force = chosen.pop("force")
    if review is not None:
        check_review(review_to, folder, force)
    if report is not None:
        from topfive.evaluation import report as reports

        reports.check(report, force)
    return_memory()
    with listener(quiet) as shown:
        comparison = evaluating.evaluate(folder, listener=shown, **chosen)
    try:
        if report is not None:
            reports.write(comparison, report, max_pixels=chosen["max_pixels"], force=force)
        if review is not None:
            write_review(comparison, review, review_to, chosen["max_pixels"], force)
    finally:  # what took hours to measure is said in any case
        say(comparison, format, per_class)
    return 1 if any(one.failures for one in comparison.evaluations) else 0


def check_review(file: Path, folder: str, force: bool) -> None:
    """Refuse a file that a contact sheet cannot be written to, before any work is done."""
    from topfive.pictures.annotate import SUFFIXES

    if file.suffix.lower() not in SUFFIXES:
        raise click.UsageError(f"{file}: expected a name that ends in {', '.join(SUFFIXES)}")
    if not file.parent.is_dir() or file.is_dir():
        raise click.UsageError(f"{file}: expected a file in a folder that is there")
    if Path(folder).resolve() in file.resolve().parents:
        raise click.UsageError(f"{file} would lie among the pictures; name another --review-to")
    check_free(file, force)


def write_review(
    comparison: Comparison, number: int, file: Path, max_pixels: int, force: bool
) -> None:
    """Draw the pictures that a person should look at, or say that there are none."""
    from topfive.evaluation import review
    from topfive.pictures import annotate

    first, *others = comparison.evaluations
    if comparison.disagreements if others else first.find_worst(1):
        annotate.save(review.review(comparison, number, max_pixels), "", file, set(), force)
    else:
        terminal.tell(f"nothing to review, {file} is not drawn")


def say(comparison: Comparison, format: str, per_class: bool) -> None:
    """Print a comparison on standard output."""
    if format == "text":
        from topfive.cli.evaluate_text import show

        show(comparison, per_class)
        return
    from topfive.evaluation import report as reports

    for piece in reports.FORMATS[format](comparison):
        terminal.write(piece)


def listener(quiet: bool) -> Any:
    """Return what shows on standard error how an evaluation goes on: what is left out, a bar
    for each network, each failure once."""
    from topfive.evaluation.evaluate import EvaluationListener

    class Shown(terminal.Terminal, EvaluationListener):
        def found(self, truth: GroundTruth) -> None:
            if names := truth.unlabelled:
                more = ", …" if len(names) > SHOWN else ""
                shown = f"{', '.join(names[:SHOWN])}{more}"
                terminal.tell(f"without a class, left out: {len(names):,} files: {shown}")

        def ready(self, classifier: Classifier) -> None:
            if not quiet:
                network = classifier.network.name
                terminal.tell(f"{network}, {classifier.precision}, {classifier.recipe}")

    return Shown(quiet)
