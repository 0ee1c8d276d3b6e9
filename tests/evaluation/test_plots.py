"""Plots: what is drawn, and the SVG that a page holds."""

from __future__ import annotations

import io
import math
import re
import sys
from functools import partial
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from PIL import Image

from topfive.errors import MissingExtraError
from topfive.evaluation import metrics, plots

NAMES = ("</text></svg><script>alert(1)</script>", "$x^2$ & \x1b[31m \u202e \udcff 猫", '"><b>')


def lines(points: int = 3) -> plots.Draw:
    series = {name: [(x, x * x) for x in range(1, points + 1)] for name in NAMES}
    return partial(plots.draw_lines, series=series, labels=NAMES[:2])


def bins() -> tuple[metrics.Bin, ...]:
    random = np.random.default_rng(3)
    confidences = random.uniform(0.3, 1, 200)
    return metrics.reliability(confidences, random.uniform(0, 1, 200) < confidences)


def x_of(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_xdata())]


def y_of(line: Line2D) -> list[float]:
    return [float(value) for value in np.asarray(line.get_ydata())]


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter("text")]  # noqa: S314


def test_text_stays_text_and_cannot_become_markup() -> None:
    svg = plots.inline(lines(), NAMES[0], "a")
    shown = texts(svg)
    assert NAMES[0] in shown
    assert "$x^2$ & \\x1b[31m \\u202e \\udcff 猫" in shown
    tags = {element.tag for element in ElementTree.fromstring(svg).iter()}  # noqa: S314
    assert tags <= {"svg", "defs", "g", "path", "use", "text", "clipPath", "rect"}
    assert "<script" not in svg
    assert ElementTree.fromstring(svg).get("aria-label") == NAMES[0]  # noqa: S314


def test_letters_and_colours_are_the_pages() -> None:
    svg = plots.inline(partial(plots.draw_reliability, bins=bins()), "x", "a")
    assert "font-family" not in svg
    assert "DejaVu" not in svg
    known = [f"var({variable}, {colour})" for colour, variable in plots.VARIABLES.items()]
    for colour in re.findall(r"#[0-9a-f]{6}", svg):
        assert any(colour in variable for variable in known)
    assert re.sub(r"var\(--[\w-]+, #[0-9a-f]{6}\)", "", svg).count("#") == svg.count("#a-")


def test_ids_differ_between_plots_and_every_reference_leads_somewhere() -> None:
    both = [plots.inline(lines(), "x", identity) for identity in ("a", "b")]
    found = [re.findall(r'\bid="([^"]+)"', svg) for svg in both]
    assert found[0]
    assert len({*found[0], *found[1]}) == len(found[0]) + len(found[1])
    for svg, ids in zip(both, found, strict=True):
        used = re.findall(r'(?:href="|url\()#([\w-]+)', svg)
        assert used
        assert set(used) == set(ids)


@pytest.mark.slow
def test_the_same_plot_gives_the_same_bytes() -> None:
    assert plots.inline(lines(), "x", "a") == plots.inline(lines(), "x", "a")
    assert plots.picture(lines(), "png") == plots.picture(lines(), "png")
    assert plots.inline(lines(4), "x", "a") != plots.inline(lines(), "x", "a")


@pytest.mark.slow
def test_a_picture_is_a_file_of_its_own() -> None:
    with Image.open(io.BytesIO(plots.picture(lines(), "png", width=300, height=200))) as picture:
        assert picture.size == (600, 400)
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    svg = plots.picture(lines(), "svg")
    assert ElementTree.fromstring(svg).tag.endswith("}svg")  # noqa: S314
    assert b"var(" not in svg
    assert b"<script" not in svg


def test_intervals_stand_where_they_should() -> None:
    axes = Figure().subplots()
    measures = [metrics.share(3, 4), metrics.share(0, 0), metrics.share(10, 10)]
    plots.draw_intervals(axes, ["a", "b", "c"], {"top-1": measures}, {"top-1": [0.5, None, 0.9]})
    (container,) = axes.containers
    assert isinstance(container, ErrorbarContainer)
    points, _, (bars,) = container.lines
    assert isinstance(bars, LineCollection)
    assert x_of(points) == [75, 100]  # nothing was measured of b
    ends = [tuple(np.asarray(segment)[:, 0]) for segment in bars.get_segments()]
    assert ends == [pytest.approx((100 * one.low, 100 * one.high)) for one in measures[::2]]
    published = [line for line in axes.lines if line.get_label() == "top-1, published"]
    assert [x_of(line) for line in published] == [[50, 90]]
    names = {text.get_text(): text.get_position()[1] for text in axes.texts}
    assert [int(height) for height in names.values()] == [0, 1, 2]
    assert [int(height) for height in y_of(points)] == [0, 2]


def test_a_reliability_diagram_shows_each_bin_that_has_answers() -> None:
    axes = Figure().subplots()
    plots.draw_reliability(axes, bins())
    drawn = {line.get_label(): line for line in axes.lines}
    assert y_of(drawn["if calibrated"]) == [0, 100]
    kept = [one for one in bins() if one.count]
    assert 3 < len(kept) < len(bins())
    right = drawn["share that is right"]
    assert x_of(right) == [100 * one.confidence for one in kept]
    assert y_of(right) == [100 * one.accuracy for one in kept]
    bars = [bar for bar in axes.patches if isinstance(bar, Rectangle)]
    assert sum(bar.get_height() for bar in bars) == pytest.approx(100)


def test_what_is_not_finite_is_left_out_of_a_line() -> None:
    axes = Figure().subplots()
    points = [(1.0, 2.0), (2.0, math.nan), (4.0, 3.0), (math.inf, 1.0)]
    plots.draw_lines(axes, {"a": points}, ("batch", "pictures"))
    assert x_of(axes.lines[0]) == [1, 4]


def test_many_series_can_be_told_apart() -> None:
    axes = Figure().subplots()
    plots.draw_lines(axes, {str(n): [(1, n)] for n in range(14)}, ("x", "y"))
    assert len({(line.get_color(), line.get_marker()) for line in axes.lines}) == 14


def test_ranked_values_fall() -> None:
    axes = Figure().subplots()
    plots.draw_ranked(axes, {"a": [0.5, 1.0, 0.25], "none": []})
    assert y_of(axes.lines[0]) == [100, 50, 25, 25]
    assert x_of(axes.lines[0]) == [0, 1, 2, 3]


@pytest.mark.slow
@pytest.mark.parametrize("draw", [
    partial(plots.draw_intervals, names=[], series={}),
    partial(plots.draw_reliability, bins=()),
    partial(plots.draw_lines, series={}, labels=("", "")),
    partial(plots.draw_ranked, series={}),
])  # fmt: skip
def test_nothing_can_be_drawn(draw: plots.Draw) -> None:
    assert plots.inline(draw, "nothing", "a").startswith("<svg")


def test_without_matplotlib_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'topfive\[report\]'"):
        plots.inline(lines(), "x", "a")


def test_no_two_series_look_alike() -> None:
    count = len(plots.SERIES) * len(plots.MARKERS)
    assert len({tuple(plots.style(place).items()) for place in range(count)}) == count
