"""From a source to what a network is given: its square, and what a row says of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from topfive.errors import PictureError
from topfive.networks.cards import Recipe
from topfive.sources.source import Source

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True)
class Found:
    """What an earlier run kept of a picture: a network's output, the width and the height."""

    values: NDArray[np.float32]
    width: int
    height: int


Known = Callable[[str], Found | None]


@dataclass(frozen=True)
class Prepared:
    """A source that was read: the network's square, uint8 (size, size, 3), or what was in
    the way, or what is known of it already; the hash of its bytes, its width and height, the
    seconds that were spent."""

    source: Source
    square: NDArray[np.uint8] | PictureError | Found
    sha256: str | None
    width: int | None
    height: int | None
    seconds: float


def prepare(
    source: Source,
    size: int,
    recipe: Recipe,
    max_pixels: int,
    draft: bool = False,
    known: Known | None = None,
) -> Prepared:
    """Read a source and bring it to the network's square, unless what `known` returns for the
    sha256 of its bytes spares that; see `decode` for `draft`."""
    from topfive.pictures import squares

    start = perf_counter()
    sha256 = width = height = None
    square: NDArray[np.uint8] | PictureError | Found
    try:
        content = source.read()
        if isinstance(content, bytes):
            sha256 = hashlib.sha256(content).hexdigest()
        if known and sha256 and (found := known(sha256)):
            square, width, height = found, found.width, found.height
        else:
            side = squares.draft_side(size, recipe) if draft else None
            picture, (width, height) = decode(content, recipe, max_pixels, side)
            square = squares.fit(picture, size, recipe)
    except PictureError as error:
        square = error
    return Prepared(source, square, sha256, width, height, perf_counter() - start)


def decode(
    content: object, recipe: Recipe, max_pixels: int, draft: int | None = None
) -> tuple[Image.Image, tuple[int, int]]:
    """Return what `Source.read` returned as the recipe reads it, its window included, RGB and
    upright, and the width and height of the whole picture; for `draft` see
    `decoding.decode`.

    Raises:
        PictureError: it cannot be read.
    """
    from PIL import Image

    from topfive.pictures import decoding

    keras, window = recipe.keras_decoding, recipe.window
    if isinstance(content, bytes):
        return decoding.decode(content, max_pixels, keras, draft, window)
    if isinstance(content, Image.Image):
        picture = decoding.from_image(content, max_pixels, keras, window)
    elif isinstance(content, np.ndarray):
        picture = decoding.from_array(content, max_pixels, window)
    else:
        raise PictureError(
            "unsupported",
            "expected a path, an address, bytes, a PIL.Image or a NumPy array; "
            f"received {type(content).__name__}",
        )
    return picture, picture.size
