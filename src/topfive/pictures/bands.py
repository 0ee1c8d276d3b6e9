"""Large pictures band by band, so that no second copy of one is in memory beside the result."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from PIL import Image

from topfive.pictures.orientation import turn

LARGE = 1 << 23  # pixels; below that a copy costs little, and bands a little time
BAND = 1 << 20  # pixels
FLIPPED, TURNED = (3, 4, 7, 6), (5, 6, 7, 8)  # orientations: from the end, rows as columns


def is_large(picture: Image.Image) -> bool:
    """Whether a picture is converted in bands."""
    return picture.width * picture.height > LARGE


def cut(picture: Image.Image, multiple: int = 1) -> Iterator[tuple[int, Image.Image]]:
    """Yield the bands of a loaded picture, each with its first row, a `multiple` of that."""
    rows = max(1, BAND // picture.width // multiple) * multiple
    for top in range(0, picture.height, rows):
        band = picture.crop((0, top, picture.width, min(picture.height, top + rows)))
        band.format = picture.format
        yield top, band


def convert(
    picture: Image.Image,
    to_rgb: Callable[[Image.Image], Image.Image],
    orientation: int = 1,
    smaller: int = 1,
) -> Image.Image:
    """Return a loaded picture as `to_rgb` makes its bands, upright, and averaged down to a part
    of its size."""
    width, height = -(-picture.width // smaller), -(-picture.height // smaller)
    turned = orientation in TURNED
    result = Image.new("RGB", (height, width) if turned else (width, height))
    result.info = picture.info.copy()
    for top, band in cut(picture, smaller):
        done = to_rgb(band)
        if smaller > 1:
            done = done.reduce(smaller)
        place = top // smaller
        if orientation in FLIPPED:
            place = height - place - done.height
        result.paste(turn(done, orientation), (place, 0) if turned else (0, place))
    return result
