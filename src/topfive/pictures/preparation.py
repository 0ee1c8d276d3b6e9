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
from topfive.sources.source import SECONDS, Source
from topfive.system import memory
from topfive.system.memory import Claim

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
    """A source that was read: the network's square, uint8 (size, size, 3), or what was in the
    way, or what is known of it; the hash of its bytes, its width and height, seconds spent."""

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
    timeout: float = SECONDS,
) -> Prepared:
    """Read a source and bring it to the network's square, unless what `known` returns for the
    sha256 of its bytes spares that; see `decode` for `draft`. An address is given up after
    `timeout` seconds."""
    from topfive.pictures import colour, squares

    start = perf_counter()
    sha256 = width = height = None
    square: NDArray[np.uint8] | PictureError | Found
    try:
        with memory.PICTURES.claim() as claim:
            content = source.read(claim, timeout)
            if isinstance(content, bytes):
                sha256 = hashlib.sha256(content).hexdigest()
            if known and sha256 and (found := known(sha256)):
                square, width, height = found, found.width, found.height
            else:
                least = squares.draft_side(size, recipe)
                side = least if draft else None
                with colour.naming(source.name):
                    picture, (width, height) = decode(
                        content, recipe, max_pixels, side, least, claim
                    )
                square = squares.fit(picture, size, recipe)
    except PictureError as error:
        square = PictureError(error.kind, str(error))  # without what its traceback holds
    seconds = perf_counter() - start - claim.waited
    return Prepared(source, square, sha256, width, height, seconds)


def decode(
    content: object,
    recipe: Recipe,
    max_pixels: int,
    draft: int | None = None,
    least: int | None = None,
    claim: Claim | None = None,
) -> tuple[Image.Image, tuple[int, int]]:
    """Return what `Source.read` returned as upright RGB, read as the recipe does, and the width
    and height of the whole picture; for the rest see `decoding.decode`.

    Raises:
        PictureError: it cannot be read.
    """
    from PIL import Image

    from topfive.pictures import decoding

    keras, window = recipe.keras_decoding, recipe.window
    if isinstance(content, bytes):
        return decoding.decode(content, max_pixels, keras, draft, window, least, claim)
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
