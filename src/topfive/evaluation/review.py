"""The pictures on which networks err or disagree most, on one sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from topfive.pictures.contact_sheets import RIGHT, WIDTH, WRONG, sheet, thumbnails
from topfive.sources.source import MAX_PIXELS

if TYPE_CHECKING:
    from topfive.evaluation.evaluations import Comparison


def review(comparison: Comparison, number: int, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Return a sheet of the `number` pictures on which the networks disagree most, or, of one
    network, of its most confident errors, the worst first.

    Under each stand its name, the truth, and what each network answered, right or wrong. A
    picture that can no longer be read is an empty frame.
    """
    evaluations = comparison.evaluations
    judged = [one.judgements for one in comparison.disagreements[:number]]
    if len(evaluations) == 1:
        judged = [(judgement,) for judgement in evaluations[0].find_worst(number)]
    found = thumbnails([one[0].source for one in judged], WIDTH, max_pixels)
    cells = []
    for judgements in judged:
        source, truth = judgements[0].source, judgements[0].truth
        lines = [source.rpartition("/")[2], f"truth: {evaluations[0].labels[truth].name}"]
        for name, judgement in zip(comparison.titles, judgements, strict=True):
            best = judgement.predictions[0]
            mark = RIGHT if judgement.right else WRONG
            lines.append(f"{mark}{name}: {best.label} {best.probability:.0%}")
        cells.append((found[source], lines))
    return sheet(cells)
