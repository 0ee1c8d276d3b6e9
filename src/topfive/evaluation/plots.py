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

from topfive.errors import MissingExtraError
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
ROW = 17  # pixels of a name or a point in `draw_intervals`
VARIABLES = {INK: "--ink", FAINT: "--faint", PAPER: "--paper"} | {
    colour: f"--series-{number}" for number, colour in enumerate(SERIES, start=1)
}
STYLE: dict[str, Any] = {
    "axes.axisbelow": True, "axes.edgecolor": FAINT, "axes.facecolor": "none", "axes.grid": True,
    "axes.labelcolor": INK, "axes.spines.right": False, "axes.spines.top": False,
    "figure.constrained_layout.use": True, "figure.facecolor": BEHIND, "font.size": 12,
    "grid.color": FAINT, "grid.linewidth": 0.8, "legend.frameon": False, "lines.linewidth": 2,
    "lines.markersize": 7, "svg.fonttype": "none", "svg.hashsalt": "topfive", "text.color": INK,
    "text.parse_math": False, "xtick.color": FAINT, "xtick.labelcolor": INK,
    "ytick.color": FAINT, "ytick.labelcolor": INK,
}  # fmt: skip
# What says when and by what a file was made; the same plot gives the same bytes.
METADATA = {"svg": dict.fromkeys(("Creator", "Date", "Format", "Type")), "png": {"Software": None}}

WIDE = 22  # letters, of which two columns do not fit beside each other


def inline(
    draw: Draw, description: str, identity: str, *, width: int = 360, height: int = 280
) -> str:
    """Return what `draw` draws as an SVG element for an HTML page.

    `description` is for those who cannot see it. `identity`, another one for each plot of a
    page, keeps their ids apart. `width` and `height` are in pixels, and the letters are as
    large as they should be at that size; the element takes the width of its place. Text stays
    text, and colours are the page's variables (`VARIABLES`).

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    from xml.etree import ElementTree

    root = ElementTree.fromstring(picture(draw, "svg", width=width, height=height))  # noqa: S314
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
    root.attrib = {"viewBox": root.get("viewBox", ""), "role": "img",
                   "aria-label": printable(description)}  # fmt: skip
    return ElementTree.tostring(root, "unicode")


def picture(draw: Draw, format: str, *, width: int = 800, height: int = 600) -> bytes:
    """Return what `draw` draws as the content of a file of its own, `png` or `svg`, on white.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plots need matplotlib: pip install 'topfive[report]'") from error
    content = io.BytesIO()
    # An SVG's units are points, 72 an inch; so that letters are as large in both formats.
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # whoever shows the text has it
        figure = Figure(figsize=(width / 72, height / 72), dpi=72)
        draw(figure.subplots())
        figure.savefig(content, format=format, metadata=METADATA[format], dpi=144)
    return content.getvalue()


def draw_intervals(
    axes: Axes, names: Sequence[str], series: Mapping[str, Sequence[Measure]],
    marks: Mapping[str, Sequence[float | None]] | None = None,
) -> None:  # fmt: skip
    """Draw shares with their confidence intervals: a band for each name, from the top, and in
    it a point for each of the series; `marks` are further values (0 to 1), hollow."""
    row = 1 / (1 + len(series) + 0.4)  # of a band; the first is its name's, below a gap
    for place, (title, measures) in enumerate(series.items()):
        colour, marker = SERIES[place % len(SERIES)], MARKERS[place % len(MARKERS)]
        below = row * (place + 1.8)
        kept = [(band + below, one) for band, one in enumerate(measures) if one.of]
        axes.errorbar(
            [100 * one.value for _, one in kept], [height for height, _ in kept],
            xerr=[[100 * (one.value - one.low) for _, one in kept],
                  [100 * (one.high - one.value) for _, one in kept]],
            fmt=marker, color=colour, capsize=4, clip_on=False, label=printable(title),
        )  # fmt: skip
        others = [(band + below, value) for band, value in enumerate((marks or {}).get(title, ()))
                  if value is not None]  # fmt: skip
        axes.plot(
            [100 * value for _, value in others], [height for height, _ in others], marker="d",
            color=colour, markerfacecolor=PAPER, linestyle="none",
            label=f"{printable(title)}, published" if others else None,
        )  # fmt: skip
    for band, name in enumerate(names):
        axes.text(0, band + 0.8 * row, printable(name), verticalalignment="center")
    axes.set(xlim=(0, 100), ylim=(max(1, len(names)), 0), yticks=[], xlabel="% of the pictures")
    axes.spines["left"].set_visible(False)
    _legend(axes)


def height_of_intervals(num_names: int, num_series: int) -> int:
    """Return the height in pixels that suits what `draw_intervals` draws."""
    return 90 + round(ROW * num_names * (num_series + 1.4))


def draw_reliability(axes: Axes, bins: Sequence[Bin]) -> None:
    """Draw how often answers are right against how sure they are, over how many there are.

    Source: Guo et al. 2017, arXiv:1706.04599, figure 1.
    """
    total = sum(one.count for one in bins) or 1
    axes.bar(
        [50 * (one.low + one.high) for one in bins], [100 * one.count / total for one in bins],
        [90 * (one.high - one.low) for one in bins], color=FAINT, label="share of the answers",
    )  # fmt: skip
    axes.plot((0, 100), (0, 100), color=INK, linestyle=":", linewidth=1.5, label="if calibrated")
    kept = [one for one in bins if one.count]
    axes.plot([100 * one.confidence for one in kept], [100 * one.accuracy for one in kept],
              color=SERIES[0], marker=MARKERS[0], label="share that is right")  # fmt: skip
    axes.set(xlim=(0, 100), ylim=(0, 102), xlabel="confidence, %", ylabel="%")
    _legend(axes)


def draw_lines(
    axes: Axes, series: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str,
    *, logarithmic: bool = False,
) -> None:  # fmt: skip
    """Draw a line with markers through the (x, y) of each of the series; what is not finite is
    left out. `logarithmic` doubles x at even steps, as batch sizes do."""
    for place, (title, points) in enumerate(series.items()):
        kept = [point for point in points if all(map(math.isfinite, point))]
        axes.plot(
            [x for x, _ in kept], [y for _, y in kept], color=SERIES[place % len(SERIES)],
            # With more series than colours a colour comes again with another marker.
            marker=MARKERS[(place + place // len(SERIES)) % len(MARKERS)], label=printable(title),
        )  # fmt: skip
    if logarithmic:
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter("{x:g}")
    axes.set(xlabel=printable(x_label), ylabel=printable(y_label), ylim=(0, None))
    _legend(axes)


def draw_ranked(axes: Axes, series: Mapping[str, Sequence[float]]) -> None:
    """Draw the values (0 to 1) of each of the series, the best first, against their rank."""
    for place, (title, values) in enumerate(series.items()):
        ranked = [100 * value for value in sorted(values, reverse=True)]
        steps = [*ranked, *ranked[-1:]]
        axes.step(
            range(len(steps)), steps, where="post", color=SERIES[place % len(SERIES)],
            linestyle=STROKES[(place + place // 12) % len(STROKES)], label=printable(title),
        )  # fmt: skip
    axes.set(ylim=(0, 102), xlim=(0, None), xlabel="classes, the best first", ylabel="%")
    _legend(axes)


def _legend(axes: Axes) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if labels:
        # Points with intervals would come after what is drawn without.
        order = sorted(range(len(labels)), key=lambda place: "published" in labels[place])
        axes.figure.legend(
            [handles[place] for place in order], [labels[place] for place in order],
            loc="outside upper left", ncols=2 if max(map(len, labels)) < WIDE else 1, borderpad=0,
        )  # fmt: skip


def _of_the_page(style: str) -> str:
    style = re.sub(r"font-family:[^;]*;?\s*", "", style).replace(BEHIND, "none")
    for colour, variable in VARIABLES.items():
        style = style.replace(colour, f"var({variable}, {colour})")
    return style
