"""Folders of pictures that show shapes: a folder for each class, on noise, in any colours, and
every other one grey."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

SHAPES = ("circle", "cross", "square", "triangle")


def write(folder: Path, count: int, *, seed: int = 0, size: int = 96) -> Path:
    """Write `count` pictures of each shape, and return the folder."""
    random = np.random.default_rng(seed)
    for shape in SHAPES:
        place = folder / shape
        place.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = random.integers(0, 80, (size, size, 3)) + random.integers(0, 100, 3)
            picture = Image.fromarray(noise.astype(np.uint8))
            colour = tuple(int(one) for one in random.integers(120, 256, 3))
            radius = int(random.integers(size // 5, size // 3))
            x, y = (int(one) for one in random.integers(radius, size - radius, 2))
            _draw(ImageDraw.Draw(picture), shape, x, y, radius, colour)
            (picture.convert("L") if number % 2 else picture).save(place / f"{number:03}.png")
    return folder


def _draw(
    draw: ImageDraw.ImageDraw, shape: str, x: int, y: int, r: int, colour: tuple[int, ...]
) -> None:
    if shape == "circle":
        draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "square":
        draw.rectangle((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "triangle":
        draw.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    else:
        draw.rectangle((x - r, y - r // 3, x + r, y + r // 3), fill=colour)
        draw.rectangle((x - r // 3, y - r, x + r // 3, y + r), fill=colour)
