"""A comparison as one HTML page that asks for nothing else and runs nothing."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Sequence
from functools import cache, partial
from importlib.resources import files
from itertools import chain
from typing import TYPE_CHECKING, Any

from topfive.evaluation import plots, report_tables
from topfive.evaluation.evaluations import Comparison, remark
from topfive.evaluation.metrics import Measure, share
from topfive.evaluation.report_tables import SHOWN
from topfive.pictures.contact_sheets import thumbnails
from topfive.system import extras
from topfive.system.text import printable
from topfive.version import __version__

if TYPE_CHECKING:
    from jinja2 import Template
    from PIL import Image

PICTURES = 24  # errors of a network
ALL_PICTURES = 96  # errors of all networks together, so that a page stays below 3 MB
SIDE = 240  # pixels of a thumbnail
FEW = 12  # classes that a plot can name
ENOUGH = 5  # pictures of a class, on average, whose share says something
DEEP = 10  # answers


def check() -> None:
    """Raise a `MissingExtraError` where Jinja2 or matplotlib is not installed."""
    extras.require("report", "an HTML report", hint=".md and .json do without")


def as_html(comparison: Comparison, max_pixels: int) -> Iterator[str]:
    """Yield the page: plots as inline SVG, tables, and the worst errors as small pictures.

    Pictures of more than `max_pixels` are not shown, nor are those that are gone.
    """
    titled = comparison.titled
    number = max(1, min(PICTURES, ALL_PICTURES // len(titled)))
    wrong = [evaluation.find_worst(number) for _, evaluation in titled]
    differing = comparison.disagreements[:SHOWN]
    named = [one.source for one in differing] + [one.source for one in chain(*wrong)]
    networks = []
    for place, (title, evaluation) in enumerate(titled):
        draw = partial(plots.draw_reliability, bins=evaluation.bins)
        said = f"How often {title} is right against how sure it is"
        plot = plots.inline(draw, said, f"reliability-{place}")
        networks.append((title, evaluation, remark(evaluation), wrong[place], plot))
    yield from _template().generate(
        comparison=comparison,
        tables=report_tables,
        version=__version__,
        differing=differing,
        pictures={name: _embed(one) for name, one in thumbnails(named, SIDE, max_pixels).items()},
        plots=[_plot_accuracy(comparison), _plot_classes(comparison)],
        networks=networks,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    def spelled_out(value: Any) -> Any:
        plain = isinstance(value, str) and not isinstance(value, Markup)
        return printable(value) if plain else value

    # What does not print in a name is spelled out, then all is escaped.
    options: dict[str, Any] = {"undefined": StrictUndefined, "finalize": spelled_out}
    options |= {"trim_blocks": True, "lstrip_blocks": True}
    page = files("topfive").joinpath("assets", "report.html").read_text("utf-8")
    return Environment(autoescape=True, **options).from_string(page)


def _plot_accuracy(comparison: Comparison) -> tuple[str, str]:
    title = "Measured and published accuracy"
    series: dict[str, list[Measure]] = {}
    marks: dict[str, list[float | None]] = {}
    for evaluation in comparison.evaluations:
        for name, published, measured in evaluation.beside_published:
            series.setdefault(name, []).append(measured)
            marks.setdefault(name, []).append(None if published is None else published / 100)
    draw = partial(plots.draw_intervals, names=comparison.titles, series=series, marks=marks)
    height = plots.height_of_intervals(len(comparison.evaluations), 2)
    return title, plots.inline(draw, title, "accuracy", height=height)


def _plot_classes(comparison: Comparison) -> tuple[str, str]:
    """Return a title and a plot: the classes by name where there are few, by their rank where
    they have pictures enough, else how far down the truth stands."""
    titled = comparison.titled
    tables = {title: {one.index: one for one in found.classes} for title, found in titled}
    names = {index: one.label for table in tables.values() for index, one in table.items()}
    pictures = max((len(one.judgements) for _, one in titled), default=0)
    draw: plots.Draw
    height = 250 + 17 * len(titled)  # with its legend
    if len(names) <= FEW:
        order, title = sorted(names), "Top-1 accuracy of each class"
        measured = {
            name: [table[index].top1 if index in table else share(0, 0) for index in order]
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
        depth = {name: _depths([one.rank for one in found.judgements]) for name, found in titled}
        draw = partial(plots.draw_lines, series=depth, labels=("answers", "% of the pictures"))
    return title, plots.inline(draw, title, "classes", height=height)


def _depths(ranks: Sequence[int]) -> list[tuple[float, float]]:
    """Return numbers of answers, and of how many % of the pictures the truth is among so many."""
    places, of = range(1, DEEP + 1), max(1, len(ranks))
    return [(place, 100 * sum(rank <= place for rank in ranks) / of) for place in places]


def _embed(picture: Image.Image) -> str:
    """Return a picture as an address that holds it."""
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=70, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(content.getvalue()).decode()}"
