"""A comparison as one HTML page that asks for nothing else and runs nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from functools import cache, partial
from importlib.resources import files
from importlib.util import find_spec
from itertools import chain
from typing import TYPE_CHECKING, Any

from topfive.errors import MissingExtraError
from topfive.evaluation import plots, report_tables
from topfive.evaluation.evaluations import Comparison, remark
from topfive.evaluation.metrics import Measure
from topfive.evaluation.report_tables import SHOWN
from topfive.evaluation.review import worst
from topfive.pictures.contact_sheets import thumbnails
from topfive.sources.source import MAX_PIXELS
from topfive.version import __version__

if TYPE_CHECKING:
    from jinja2 import Template
    from PIL import Image

PICTURES = 24  # errors of a network
ALL_PICTURES = 96  # errors of all networks together, so that a page stays below 3 MB
SIDE = 240  # pixels of a thumbnail
JPEG = {"quality": 70, "optimize": True}
FEW = 12  # classes that a plot can name
ENOUGH = 5  # pictures of a class, on average, whose share says something
DEEP = 10  # answers
NOTHING = Measure(0, 0, 0.0, 1.0)


def check() -> None:
    """Refuse what `as_html` could not do.

    Raises:
        MissingExtraError: Jinja2 or matplotlib is not installed.
    """
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"an HTML report needs {' and '.join(missing)}: pip install 'topfive[report]' "
            "(.md and .json do without)"
        )


def as_html(comparison: Comparison, max_pixels: int = MAX_PIXELS) -> Iterator[str]:
    """Yield the page: plots as inline SVG, tables, and the worst errors as small pictures.

    Pictures of more than `max_pixels` are not shown, nor are those that are gone.

    Raises: what `check` does.
    """
    check()
    from markupsafe import Markup

    titled = list(zip(comparison.titles, comparison.evaluations, strict=True))
    number = max(1, min(PICTURES, ALL_PICTURES // len(titled)))
    wrong = [worst(evaluation, number) for _, evaluation in titled]
    differing = comparison.disagreements[:SHOWN]
    named = [one.source for one in differing] + [one.source for one in chain(*wrong)]
    pictures = thumbnails(named, SIDE, max_pixels)
    yield from _template().generate(
        comparison=comparison,
        tables=report_tables,
        version=__version__,
        differing=differing,
        pictures={name: Markup(_address(one)) for name, one in pictures.items()},  # noqa: S704
        plots=[(title, Markup(plot))  # noqa: S704
               for title, plot in (_accuracy(comparison), _classes(comparison))],
        networks=[
            (title, evaluation, remark(evaluation), errors,
             Markup(plots.inline(  # noqa: S704
                 partial(plots.draw_reliability, bins=evaluation.bins),
                 f"How often {title} is right against how sure it is", f"reliability-{place}")))
            for place, ((title, evaluation), errors) in enumerate(zip(titled, wrong, strict=True))
        ],
    )  # fmt: skip


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def printable(value: Any) -> Any:
        plain = isinstance(value, str) and not isinstance(value, Markup)
        return printable(value) if plain else value

    # What does not print in a name is spelled out, then all is escaped.
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=printable,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.from_string(
        files("topfive").joinpath("assets", "report.html").read_text("utf-8")
    )


def _accuracy(comparison: Comparison) -> tuple[str, str]:
    evaluations = comparison.evaluations
    published = {
        "top-1": [one.network.top1 for one in evaluations],
        "top-5": [one.network.top5 for one in evaluations],
    }
    title = "Measured and published accuracy"
    plot = plots.inline(
        partial(
            plots.draw_intervals,
            names=comparison.titles,
            series={
                "top-1": [one.top1 for one in evaluations],
                "top-5": [one.top5 for one in evaluations],
            },
            marks={
                title: [None if value is None else value / 100 for value in values]
                for title, values in published.items()
            },
        ),
        title,
        "accuracy",
        height=plots.height_of_intervals(len(evaluations), 2),
    )
    return title, plot


def _classes(comparison: Comparison) -> tuple[str, str]:
    """Return a title and a plot: the classes by name where there are few, by their rank where
    they have pictures enough, else how far down the truth stands."""
    titled = list(zip(comparison.titles, comparison.evaluations, strict=True))
    tables = {title: {one.index: one for one in found.classes} for title, found in titled}
    names = {index: one.label for table in tables.values() for index, one in table.items()}
    pictures = max((len(one.judgements) for _, one in titled), default=0)
    draw: plots.Draw
    height = 250 + 17 * len(titled)  # with its legend
    if len(names) <= FEW:
        order, title = sorted(names), "Top-1 accuracy of each class"
        measured = {
            name: [table[index].top1 if index in table else NOTHING for index in order]
            for name, table in tables.items()
        }
        shown = [names[index] for index in order]
        draw = partial(plots.draw_intervals, names=shown, series=measured)
        height = plots.height_of_intervals(len(names), len(titled))
    elif pictures >= ENOUGH * len(names):
        title = "Top-1 accuracy of the classes, by rank"
        ranked = {name: [one.top1.value for one in found.classes] for name, found in titled}
        draw = partial(plots.draw_ranked, series=ranked)
    else:
        title = "How often the truth is among the first answers"
        depth = {
            name: [(place, 100 * sum(one.rank <= place for one in found.judgements)
                    / max(1, len(found.judgements))) for place in range(1, DEEP + 1)]
            for name, found in titled
        }  # fmt: skip
        draw = partial(
            plots.draw_lines, series=depth, x_label="answers", y_label="% of the pictures"
        )
    return title, plots.inline(draw, title, "classes", height=height)


def _address(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "JPEG", **JPEG)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
