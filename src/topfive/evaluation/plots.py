"""Plots that a page holds as inline SVG, in the page's own letters and colours.

A plot is a function that draws on matplotlib's axes; `inline` and `picture` call it.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from topfive.sources.own_output import MARK
from topfive.system import extras
from topfive.system.text import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from topfive.evaluation.metrics import Bin, Measure

    Draw = Callable[[Axes], None]

# Each colour is a variable of the page, which has another one for it in the dark; what stands
# here holds where there is no page. Series differ in their markers, too.
INK, FAINT, PAPER, BEHIND = "#1b2733", "#d5dce3", "#fefefe", "#ffffff"
SERIES = ("#1a62b5", "#b04a08", "#0b7857", "#84399a", "#a62f4b", "#56616c")
MARKERS = "osD^vP"
STROKES = ("-", "--", "-.", ":")
WIDTH = 360  # pixels of an SVG element
ROW = 17  # pixels of a name or a point in `draw_intervals`
VARIABLES = {INK: "--ink", FAINT: "--faint", PAPER: "--paper"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)
}
STYLE: dict[str, Any] = {
    "axes.axisbelow": True, "axes.edgecolor": FAINT, "axes.facecolor": "none", "axes.grid": True,
    "axes.labelcolor": INK, "axes.spines.right": False, "axes.spines.top": False,
    "errorbar.capsize": 4, "figure.constrained_layout.use": True, "figure.facecolor": BEHIND,
    "font.size": 12, "grid.color": FAINT, "grid.linewidth": 0.8, "legend.frameon": False,
    "lines.linewidth": 2, "lines.markersize": 7, "svg.fonttype": "none", "svg.hashsalt": "topfive",
    "text.color": INK, "text.parse_math": False, "xtick.color": FAINT, "xtick.labelcolor": INK,
    "ytick.color": FAINT, "ytick.labelcolor": INK,
}  # fmt: skip
# What says when and by what a file was made; the same plot gives the same bytes.
METADATA = {
    "svg": {"Creator": MARK, **dict.fromkeys(("Date", "Format", "Type"))},
    "png": {"Software": MARK},
}

WIDE = 22  # letters, of which two columns do not fit beside each other


def check() -> None:
    """Raise a `MissingExtraError` where matplotlib is not installed."""
    extras.require("report", "a plot", ("matplotlib",))


def inline(draw: Draw, description: str, identity: str, *, height: int = 280) -> str:
    """Return what `draw` draws as an SVG element for an HTML page.

    `description` is for those who cannot see it. `identity`, another one for each plot of a
    page, keeps their ids apart. `height` is in pixels where the element is `WIDTH` wide; it takes
    the width of its place. Text stays text, and colours are the page's (`VARIABLES`).

    Raises: what `check` does.
    """
    from xml.etree import ElementTree

    root = ElementTree.fromstring(picture(draw, "svg", width=WIDTH, height=height))  # noqa: S314
    text = ElementTree.tostring(root, "unicode")
    used = set(re.findall(r'(?:href="|url\()#([\w-]+)', text))
    for element in [*root.iter()]:
        element.tag = element.tag.rpartition("}")[2]
        for child in [*element]:
            # The style would be the whole page's.
            if child.tag.endswith(("}metadata", "}style")):
                element.remove(child)
        attributes = {name.rpartition("}")[2]: value for name, value in element.items()}
        element.attrib.clear()
        for name, value in attributes.items():
            if name == "id" and value in used:
                element.set(name, f"{identity}-{value}")
            elif name == "href":
                element.set(name, value.replace("#", f"#{identity}-"))
            elif name != "id":
                element.set(name, _of_the_page(value.replace("url(#", f"url(#{identity}-")))
    box, label = root.get("viewBox", ""), printable(description)
    root.attrib = {"viewBox": box, "role": "img", "aria-label": label}
    return ElementTree.tostring(root, "unicode")


def picture(draw: Draw, format: str, *, width: int = 800, height: int = 600) -> bytes:
    """Return what `draw` draws as the content of a file of its own, `png` or `svg`, on white.

    Raises: what `check` does.
    """
    check()
    import matplotlib
    from matplotlib.figure import Figure

    content = io.BytesIO()
    # An SVG's units are points, 72 an inch; so that letters are as large in both formats.
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # whoever shows the text has it
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        draw(figure.subplots())
        figure.savefig(content, format=format, metadata=METADATA[format], dpi=144)
    return content.getvalue()


def style(place: int) -> dict[str, Any]:
    """Return the colour and the marker of one of several series."""
    # With more series than colours a colour comes again with another marker.
    marker = MARKERS[(place + place // len(SERIES)) % len(MARKERS)]
    return {"color": SERIES[place % len(SERIES)], "marker": marker}


def draw_intervals(
    axes: Axes,
    names: Sequence[str],
    series: Mapping[str, Sequence[Measure]],
    marks: Mapping[str, Sequence[float | None]] | None = None,
) -> None:
    """Draw shares with their confidence intervals: a band for each name, from the top, and in
    it a point for each of the series; `marks` are further values (0 to 1), hollow."""
    row = 1 / (1 + len(series) + 0.4)  # of a band; the first is its name's, below a gap
    for place, (title, measures) in enumerate(series.items()):
        below, look = row * (place + 1.8), style(place) | {"linestyle": "none"}
        kept = [(band + below, one) for band, one in enumerate(measures) if one.of]
        points = [(100 * one.value, height) for height, one in kept]
        low = [100 * (one.value - one.low) for _, one in kept]
        high = [100 * (one.high - one.value) for _, one in kept]
        label = printable(title)
        axes.errorbar(*_columns(points), xerr=(low, high), clip_on=False, label=label, **look)
        published = enumerate((marks or {}).get(title, ()))
        hollow = [(100 * value, band + below) for band, value in published if value is not None]
        look = {"color": look["color"], "markerfacecolor": PAPER, "linestyle": "none"}
        label = f"{label}, published" if hollow else ""
        axes.plot(*_columns(hollow), marker="d", label=label, **look)
    for band, name in enumerate(names):
        axes.text(0, band + 0.8 * row, printable(name), verticalalignment="center")
    axes.set(xlim=(0, 100), ylim=(max(1, len(names)), 0), yticks=[], xlabel="% of the pictures")
    axes.spines["left"].set_visible(False)
    _draw_legend(axes)


def height_of_intervals(num_names: int, num_series: int) -> int:
    """Return the height in pixels that suits what `draw_intervals` draws."""
    return 90 + round(ROW * num_names * (num_series + 1.4))


def draw_reliability(axes: Axes, bins: Sequence[Bin]) -> None:
    """Draw how often answers are right against how sure they are, over how many there are.

    Source: Guo et al. 2017, arXiv:1706.04599, figure 1.
    """
    total = sum(one.count for one in bins) or 1
    bars = [(50 * (one.low + one.high), 100 * one.count / total) for one in bins]
    widths = [90 * (one.high - one.low) for one in bins]
    axes.bar(*_columns(bars), widths, color=FAINT, label="share of the answers")
    axes.plot((0, 100), (0, 100), color=INK, linestyle=":", linewidth=1.5, label="if calibrated")
    kept = [(100 * one.confidence, 100 * one.accuracy) for one in bins if one.count]
    axes.plot(*_columns(kept), label="share that is right", **style(0))
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="confidence, %", ylabel="%")
    _draw_legend(axes)


def draw_lines(
    axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]], labels: tuple[str, str]
) -> None:
    """Draw a line with markers through the (x, y) of each of the series; what is not finite is
    left out. `labels` are those of x and of y."""
    for place, (title, points) in enumerate(series.items()):
        kept = [point for point in points if all(map(math.isfinite, point))]
        axes.plot(*_columns(kept), label=printable(title), **style(place))
    x_label, y_label = map(printable, labels)
    axes.set(xlabel=x_label, ylabel=y_label, ylim=(0, None))
    _draw_legend(axes)


def draw_ranked(axes: Axes, series: Mapping[str, Sequence[float]]) -> None:
    """Draw the values (0 to 1) of each of the series, the best first, against their rank."""
    for place, (title, values) in enumerate(series.items()):
        ranked = [100 * value for value in sorted(values, reverse=True)]
        steps = [*ranked, *ranked[-1:]]
        stroke = STROKES[(place + place // 12) % len(STROKES)]
        look = style(place) | {"marker": "", "linestyle": stroke}
        axes.step(range(len(steps)), steps, where="post", label=printable(title), **look)
    axes.set(ylim=(0, 102), xlim=(0, None), xlabel="classes, the best first", ylabel="%")
    _draw_legend(axes)


def _columns(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return the x and the y of points."""
    return [x for x, _ in points], [y for _, y in points]


def _draw_legend(axes: Axes) -> None:
    if drawn := list(zip(*axes.get_legend_handles_labels(), strict=True)):
        # Points with intervals would come after what is drawn without.
        handles, labels = zip(*sorted(drawn, key=lambda one: "published" in one[1]), strict=True)
        columns = 2 if max(map(len, labels)) < WIDE else 1
        axes.figure.legend(handles, labels, loc="outside upper left", ncols=columns, borderpad=0)


def _of_the_page(style: str) -> str:
    style = re.sub(r"font-family:[^;]*;?\s*", "", style).replace(BEHIND, "none")
    for colour, variable in VARIABLES.items():
        style = style.replace(colour, f"var({variable}, {colour})")
    return style
