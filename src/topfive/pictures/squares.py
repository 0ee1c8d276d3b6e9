"""From an upright picture to the network's square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from topfive.networks.cards import Recipe

# ImageNet's mean colour: what the networks see as nothing.
MEAN_COLOUR = (124, 117, 104)
# Longer shapes than 64 : 1 are treated as strips, whose long side costs memory.
STRIP = 64

# A JPEG that is decoded at a half, a quarter or an eighth keeps at least this many times the
# pixels that its recipe scales it to, along each side. The square then differs by 0.2 of 255
# levels on average and at most 0.7, and by at most 10 in any pixel (measured on photographs).
DRAFT = 4


def draft_side(size: int, recipe: Recipe) -> int | None:
    """Return the least side to which a JPEG may be decoded, None where it must be whole."""
    if recipe.filter in ("nearest", "box"):  # they take whole pixels, which move
        return None
    return DRAFT * (max(recipe.short_side, size) if recipe.fit == "crop" else size)


def fit(picture: Image.Image, size: int, recipe: Recipe) -> NDArray[np.uint8]:
    """Return an RGB picture as the network's square, uint8 (size, size, 3).

    Source: for `crop` torchvision's Resize and CenterCrop, roundings included.
    """
    filter = Image.Resampling[recipe.filter.upper()]
    width, height = picture.size
    if recipe.fit == "crop":
        short, target = min(width, height), max(recipe.short_side, size)
        # Of a strip most is thrown away, so that goes first.
        keep = (min(width, STRIP * short), min(height, STRIP * short))
        if keep != (width, height):
            picture = _centre(picture, *keep)
        # In whole numbers, as there: 256 * 500 / 375 is cut off, not rounded.
        scaled = (target * keep[0] // short, target * keep[1] // short)
        square = _centre(picture.resize(scaled, filter), size, size)
    elif recipe.fit == "pad":
        longest = max(width, height)
        inner = (max(1, round(width * size / longest)), max(1, round(height * size / longest)))
        square = Image.new("RGB", (size, size), MEAN_COLOUR)
        corner = ((size - inner[0]) // 2, (size - inner[1]) // 2)
        square.paste(_resize(picture, inner, filter), corner)
    else:
        square = _resize(picture, (size, size), filter)
    return np.array(square)


def _resize(picture: Image.Image, size: tuple[int, int], filter: Image.Resampling) -> Image.Image:
    """Resize; a strip is averaged down first: Pillow's filter weights would take gigabytes."""
    width, height = picture.size
    if max(width, height) > STRIP * min(width, height) and filter != Image.Resampling.NEAREST:
        picture = picture.reduce((max(1, width // (8 * size[0])), max(1, height // (8 * size[1]))))
    return picture.resize(size, filter)


def _centre(picture: Image.Image, width: int, height: int) -> Image.Image:
    left, top = round((picture.width - width) / 2), round((picture.height - height) / 2)
    return picture.crop((left, top, left + width, top + height))
