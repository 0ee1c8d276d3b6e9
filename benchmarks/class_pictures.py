"""Drawings of ten things that are easily told apart, as folders of JPEG files.

Within a class everything else varies: place, size, number, colours, background, noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Random = np.random.Generator
Colour = tuple[int, int, int]


def write(
    folder: Path, classes: Sequence[str] | None = None, each: int = 20, size: int = 96,
    seed: int = 0, grey: bool = False,
) -> Path:  # fmt: skip
    """Write `each` pictures of each of the classes, all of `CLASSES` by default, as
    `folder/class/0.jpg` and so on; sides are `size` pixels, more or less. Return the folder."""
    for name in classes or CLASSES:
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        number = list(CLASSES).index(name)
        for count in range(each):
            picture = draw(name, size, np.random.default_rng([seed, number, count]))
            picture = picture.convert("L") if grey else picture
            picture.save(place / f"{count:03}.jpg", quality=88)
    return folder


def draw(name: str, size: int, random: Random) -> Image.Image:
    """Return a picture of a class."""
    width, height = (int(size * random.uniform(0.85, 1.25)) for _ in range(2))
    back, front = _colours(random)
    picture = _background(width, height, back, random)
    # Drawn larger and brought down, for smooth edges.
    layer = Image.new("L", (2 * width, 2 * height), 0)
    CLASSES[name](ImageDraw.Draw(layer), 2 * width, 2 * height, random)
    mask = layer.resize((width, height), Image.Resampling.LANCZOS)
    picture.paste(Image.new("RGB", (width, height), front), mask=mask)
    if random.random() < 0.3:
        picture = picture.filter(ImageFilter.GaussianBlur(random.uniform(0.3, 1.0)))
    noise = random.normal(0, random.uniform(0, 14), (height, width, 3))
    return Image.fromarray(np.clip(np.asarray(picture) + noise, 0, 255).astype(np.uint8))


def _colours(random: Random) -> tuple[Colour, Colour]:
    """Return two colours that differ enough for a shape to be seen."""
    while True:
        pair = random.integers(0, 256, (2, 3))
        if np.abs(pair[0] - pair[1]).sum() > 240:
            return tuple(pair[0].tolist()), tuple(pair[1].tolist())


def _background(width: int, height: int, colour: Colour, random: Random) -> Image.Image:
    """Return one colour that grows lighter or darker in some direction."""
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0, 40)
    slope: NDArray[np.float64] = strength * (np.cos(angle) * x + np.sin(angle) * y)
    pixels = np.clip(np.array(colour) + slope[..., None], 0, 255)
    return Image.fromarray(pixels.astype(np.uint8))


def _place(
    width: int, height: int, random: Random, least: float = 0.2, most: float = 0.38
) -> tuple[float, float, float]:
    """Return the middle of a shape and its radius, well inside the picture."""
    radius = random.uniform(least, most) * min(width, height)
    x = random.uniform(radius, width - radius)
    return x, random.uniform(radius, height - radius), radius


def _polygon(x: float, y: float, radii: Sequence[float], turn: float) -> list[tuple[float, float]]:
    angles = turn + 2 * np.pi * np.arange(len(radii)) / len(radii)
    return [
        (x + r * float(np.cos(a)), y + r * float(np.sin(a)))
        for r, a in zip(radii, angles, strict=True)
    ]


def _discs(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    x, y, radius = _place(width, height, random)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), 255)


def _rings(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    x, y, radius = _place(width, height, random, 0.25)
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), 255)
    hole = radius * random.uniform(0.5, 0.75)
    pen.ellipse((x - hole, y - hole, x + hole, y + hole), 0)


def _squares(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    x, y, radius = _place(width, height, random)
    pen.polygon(_polygon(x, y, [radius] * 4, np.pi / 4 + random.uniform(-0.15, 0.15)), 255)


def _triangles(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    x, y, radius = _place(width, height, random)
    pen.polygon(_polygon(x, y, [radius] * 3, random.uniform(0, 2 * np.pi)), 255)


def _stars(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    x, y, radius = _place(width, height, random, 0.25)
    radii = [radius, radius * random.uniform(0.35, 0.5)] * 5
    pen.polygon(_polygon(x, y, radii, random.uniform(0, 2 * np.pi)), 255)


def _crosses(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    x, y, radius = _place(width, height, random, 0.25)
    thick = radius * random.uniform(0.2, 0.35)
    pen.rectangle((x - radius, y - thick, x + radius, y + thick), 255)
    pen.rectangle((x - thick, y - radius, x + thick, y + radius), 255)


def _stripes(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    step = random.uniform(0.08, 0.16) * height
    for y in np.arange(random.uniform(-step, 0), height, 2 * step):
        pen.rectangle((0, float(y), width, float(y) + step), 255)


def _bars(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    step = random.uniform(0.08, 0.16) * width
    for x in np.arange(random.uniform(-step, 0), width, 2 * step):
        pen.rectangle((float(x), 0, float(x) + step, height), 255)


def _boards(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    step = random.uniform(0.1, 0.18) * min(width, height)
    for row in range(int(height / step) + 1):
        for column in range(row % 2, int(width / step) + 1, 2):
            pen.rectangle((column * step, row * step, (column + 1) * step, (row + 1) * step), 255)


def _dots(pen: ImageDraw.ImageDraw, width: int, height: int, random: Random) -> None:
    for _ in range(int(random.integers(25, 50))):
        x, y, radius = _place(width, height, random, 0.02, 0.05)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), 255)


CLASSES: dict[str, Callable[[ImageDraw.ImageDraw, int, int, Random], None]] = {
    "bars": _bars, "boards": _boards, "crosses": _crosses, "discs": _discs, "dots": _dots,
    "rings": _rings, "squares": _squares, "stars": _stars, "stripes": _stripes,
    "triangles": _triangles,
}  # fmt: skip
