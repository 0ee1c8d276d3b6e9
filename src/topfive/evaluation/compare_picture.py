"""A comparison as one picture: each photograph with the networks' answers beside it."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from topfive.evaluation.compare import THUMBNAIL, Compared, Contender, SideBySide
from topfive.pictures.contact_sheets import MAX_LETTERS, find_font
from topfive.results import Prediction
from topfive.system.text import printable

PAPER, INK, FAINT, BAR, AGREES = "white", "#1f2933", "#616e7c", "#d7e3f4", "#b7e4c7"
LETTER, LINE, GAP = 15, 22, 18  # pixels
BLOCK = 250  # pixels, the width of a network's answers
COLUMNS = 3  # networks beside each other
MAX_PICTURES = 100  # JPEG ends at 65,535 pixels, and a person earlier

Drawing = ImageDraw.ImageDraw
Corner = tuple[int, int]  # x and y, in pixels


def draw(comparison: SideBySide) -> Image.Image:
    """Return the first `MAX_PICTURES` photographs below each other, each with its name, the
    label of most networks, and a block of answers for each network, whose bars are as long as
    they are probable; the majority's is green. Below all stands what each network takes.
    """
    pictures = comparison.pictures[:MAX_PICTURES]
    columns = min(COLUMNS, len(comparison.contenders))
    rows = -(-len(comparison.contenders) // columns)
    block = LINE * (1 + max(len(answer) for one in pictures for answer in one.answers)) + GAP
    height = max(THUMBNAIL[1], rows * block - GAP) + 2 * LINE + 2 * GAP
    width = THUMBNAIL[0] + columns * (BLOCK + GAP) + 2 * GAP
    foot = LINE * len(comparison.contenders) + GAP
    drawn = Image.new("RGB", (width, GAP + height * len(pictures) + foot), PAPER)
    drawing = ImageDraw.Draw(drawn)
    drawing.font = find_font((), LETTER)
    for number, one in enumerate(pictures):
        top = GAP + number * height
        _draw_heading(drawing, (GAP, top), one, width - 2 * GAP)
        drawn.paste(one.thumbnail, (GAP, top + 2 * LINE))
        answers = zip(comparison.contenders, one.answers, strict=True)
        for place, (contender, answer) in enumerate(answers):
            left = 2 * GAP + THUMBNAIL[0] + place % columns * (BLOCK + GAP)
            corner = (left, top + 2 * LINE + place // columns * block)
            _draw_answer(drawing, corner, contender.name, answer, one.label)
    for number, contender in enumerate(comparison.contenders):
        corner = (GAP, GAP + height * len(pictures) + LINE * number)
        drawing.text(corner, _shorten(drawing, describe(contender), width - 2 * GAP), FAINT)
    return drawn


def describe(contender: Contender) -> str:
    """Return a line on what a network takes: time, memory, files."""
    compiled = f", {contender.compiled / 1e6:,.1f} compiled" if contender.compiled else ""
    memory = f", {contender.memory / 1e6:,.0f} MB of memory" if contender.memory else ""
    return (
        f"{contender.name}: {contender.milliseconds:,.1f} ms{memory}, "
        f"files {contender.weights / 1e6:,.1f} MB{compiled}"
    )


def _draw_heading(drawing: Drawing, corner: Corner, one: Compared, width: int) -> None:
    left, top = corner
    name, font = printable(one.source.rpartition("/")[2]), drawing.font
    room = width - drawing.textlength(one.verdict) - GAP
    drawing.font = find_font([name], LETTER)
    drawing.text((left, top), _shorten(drawing, name, room), INK)
    drawing.font = font
    drawing.text((left + width, top), one.verdict, FAINT, anchor="ra")
    drawing.line((left, top + LINE + 4, left + width - 1, top + LINE + 4), FAINT)


def _draw_answer(
    drawing: Drawing, corner: Corner, name: str, answer: Sequence[Prediction], label: str | None
) -> None:
    left, top = corner
    drawing.text((left, top), name, FAINT)
    for best in answer:
        top += LINE
        bar = (left, top, left + round(BLOCK * best.probability), top + LINE - 3)
        drawing.rectangle(bar, fill=AGREES if best.label == label else BAR)
        room = BLOCK - drawing.textlength("100.0%") - LETTER
        drawing.text((left + 4, top), _shorten(drawing, best.label, room), INK)
        drawing.text((left + BLOCK - 4, top), f"{best.probability:.1%}", INK, anchor="ra")


def _shorten(drawing: Drawing, text: str, width: float) -> str:
    text = text[:MAX_LETTERS]  # more would not fit
    if drawing.textlength(text) <= width:
        return text
    while text and drawing.textlength(f"{text}...") > width:
        text = text[:-1]
    return f"{text}..."
