"""A bench as a picture: pictures a second by batch and threads, under the machine's limit."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from topfive.evaluation import plots
from topfive.evaluation.bench import THROUGHPUT, Measurement
from topfive.system import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png")
WIDTH, HEIGHT = 420, 440  # of a network's panel, in pixels
MARGIN = 120  # more, so that the legend fits where there is one panel


def check(file: Path, force: bool = False) -> None:
    """Refuse, before anything is measured, what `write` could not write.

    Raises: what `files.check_target` and `plots.check` do.
    """
    files.check_target(file, FORMATS, force)
    plots.check()


def write(file: Path, measurements: Sequence[Measurement], force: bool = False) -> None:
    """Draw the throughputs into a file, which appears when it is whole.

    Each network has a panel, each precision and number of threads a line with the range of
    its turns, and, dashed in the same colour, the pictures a second if the network's
    arithmetic were done as fast as the matrix product's.

    Raises:
        OutputError: it cannot be written.
    """
    shown = [one for one in measurements if one.configuration.mode == THROUGHPUT]
    names = list(dict.fromkeys(one.configuration.subject.network.title for one in shown))

    def draw(axes: Axes) -> None:
        figure = axes.figure
        axes.remove()
        panels = figure.subplots(1, max(1, len(names)), squeeze=False)[0]
        for panel, name in zip(panels, names, strict=False):
            of_name = [one for one in shown if one.configuration.subject.network.title == name]
            _draw(panel, of_name)
            panel.set_title(name, fontsize=12)
        lines = dict(zip(*panels[0].get_legend_handles_labels()[::-1], strict=True))
        figure.legend(lines.values(), lines.keys(), loc="outside upper left", ncols=2)

    format, width = file.suffix.lower()[1:], MARGIN + WIDTH * max(1, len(names))
    content = plots.picture(draw, format, width=width, height=HEIGHT)
    with files.replacing(file, force) as part:
        part.write_bytes(content)


def _draw(axes: Axes, measurements: Sequence[Measurement]) -> None:
    lines: dict[tuple[str, int], list[Measurement]] = {}
    for one in measurements:
        way = one.configuration
        lines.setdefault((way.subject.precision, way.threads), []).append(one)
    for place, ((precision, threads), points) in enumerate(lines.items()):
        points.sort(key=lambda one: one.configuration.batch)
        look = plots.style(place)
        batches, rates = zip(*((one.configuration.batch, one.rate) for one in points), strict=True)
        below = [one.rate - one.slowest for one in points]
        above = [one.fastest - one.rate for one in points]
        label = f"{precision}, {threads} thread{'s' * (threads > 1)}"
        axes.errorbar(batches, rates, yerr=(below, above), label=label, **look)
        work = 2 * points[0].configuration.subject.multiply_adds
        limit = median(one.limit for one in points) / work
        look = {"color": look["color"], "linestyle": "--", "linewidth": 1.5}
        axes.axhline(limit, label="as fast as a matrix product", **look)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted({one.configuration.batch for one in measurements}))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.minorticks_off()
    axes.set(xlabel="batch", ylabel="pictures a second", ylim=(0, None))
