"""A comparison as one picture: each photograph with the networks' answers beside it."""

from __future__ import annotations

from PIL import Image, ImageDraw, ImageFont

from topfive.evaluation.compare import THUMBNAIL, Compared, Contender, SideBySide
from topfive.pictures.contact_sheets import FONTS, MAX_LETTERS
from topfive.results import Prediction
from topfive.system.text import printable

PAPER, INK, FAINT, BAR, AGREES = "white", "#1f2933", "#616e7c", "#d7e3f4", "#b7e4c7"
LETTER, LINE, GAP = 15, 22, 18  # pixels
BLOCK = 250  # pixels, the width of a network's answers
COLUMNS = 3  # networks beside each other
MAX_PICTURES = 100  # JPEG ends at 65,535 pixels, and a person earlier

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


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
    drawing, font = ImageDraw.Draw(drawn), ImageFont.load_default(LETTER)
    for number, one in enumerate(pictures):
        top = GAP + number * height
        _heading(drawing, (GAP, top), one, font, width - 2 * GAP)
        drawn.paste(one.thumbnail, (GAP, top + 2 * LINE))
        answers = zip(comparison.contenders, one.answers, strict=True)
        for place, (contender, answer) in enumerate(answers):
            left = 2 * GAP + THUMBNAIL[0] + place % columns * (BLOCK + GAP)
            corner = (left, top + 2 * LINE + place // columns * block)
            _block(drawing, corner, contender.name, answer, one.label, font)
    for number, contender in enumerate(comparison.contenders):
        corner = (GAP, GAP + height * len(pictures) + LINE * number)
        drawing.text(corner, _shortened(takes(contender), font, width - 2 * GAP), FAINT, font)
    return drawn


def takes(contender: Contender) -> str:
    """Return a line on what a network takes: time, memory, files."""
    compiled = f", {contender.compiled / 1e6:,.1f} compiled" if contender.compiled else ""
    memory = f", {contender.memory / 1e6:,.0f} MB of memory" if contender.memory else ""
    return (
        f"{contender.name}: {contender.milliseconds:,.1f} ms{memory}, "
        f"files {contender.weights / 1e6:,.1f} MB{compiled}"
    )


def _heading(
    drawing: ImageDraw.ImageDraw, corner: tuple[int, int], one: Compared, font: Font, width: int
) -> None:
    left, top = corner
    room = width - font.getlength(one.verdict) - GAP
    name = printable(one.source.rpartition("/")[2])
    of_name = font if name.isascii() else _readable()
    drawing.text((left, top), _shortened(name, of_name, room), INK, of_name)
    drawing.text((left + width, top), one.verdict, FAINT, font, anchor="ra")
    drawing.line((left, top + LINE + 4, left + width - 1, top + LINE + 4), FAINT)


def _block(
    drawing: ImageDraw.ImageDraw, corner: tuple[int, int], name: str,
    answer: tuple[Prediction, ...], label: str | None, font: Font,
) -> None:  # fmt: skip
    left, top = corner
    drawing.text((left, top), name, FAINT, font)
    for best in answer:
        top += LINE
        share = f"{best.probability:.1%}"
        bar = (left, top, left + round(BLOCK * best.probability), top + LINE - 3)
        drawing.rectangle(bar, fill=AGREES if best.label == label else BAR)
        room = BLOCK - font.getlength("100.0%") - LETTER
        drawing.text((left + 4, top), _shortened(best.label, font, room), INK, font)
        drawing.text((left + BLOCK - 4, top), share, INK, font, anchor="ra")


def _shortened(text: str, font: Font, width: float) -> str:
    text = text[:MAX_LETTERS]  # more would not fit
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def _readable() -> Font:
    for name in FONTS:
        try:
            return ImageFont.truetype(name, LETTER)
        except OSError:
            continue
    return ImageFont.load_default(LETTER)
