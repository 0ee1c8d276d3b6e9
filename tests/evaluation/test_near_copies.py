"""Copies of a picture are found, however they were made, and different pictures are not."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from benchmarks import class_pictures
from tests.support.photographs import PHOTOGRAPHS
from topfive.evaluation import near_copies
from topfive.sources.source import MAX_PIXELS, Source

Copy = Callable[[Image.Image], Image.Image]


def compress(picture: Image.Image, quality: int) -> Image.Image:
    content = io.BytesIO()
    picture.save(content, "jpeg", quality=quality)
    return Image.open(content)


def crop(picture: Image.Image, share: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    width, height = picture.size
    left, top = share * width * x, share * height * y
    right, bottom = left + (1 - share) * width, top + (1 - share) * height
    return picture.crop((round(left), round(top), round(right), round(bottom)))


COPIES: dict[str, Copy] = {
    "smaller": lambda picture: ImageOps.contain(picture, (120, 120)),
    "compressed": lambda picture: compress(picture, 50),
    "compressed more": lambda picture: compress(picture, 20),
    "lighter": lambda picture: ImageEnhance.Brightness(picture).enhance(1.1),
    "darker": lambda picture: ImageEnhance.Brightness(picture).enhance(0.6),
    "grey": lambda picture: picture.convert("L"),
    "colourful": lambda picture: ImageEnhance.Color(picture).enhance(1.4),
    "mirrored": ImageOps.mirror,
    "all of these": lambda picture: compress(
        ImageOps.contain(ImageEnhance.Brightness(picture.convert("L")).enhance(0.8), (160, 160)), 60
    ),
}


def thumbnails(pictures: list[Image.Image]) -> np.ndarray:
    squares = [np.asarray(one.convert("RGB").resize((200, 200))) for one in pictures]
    return np.stack([near_copies.shrink(one) for one in squares])


@pytest.fixture(scope="module")
def photographs() -> list[Image.Image]:
    return [Image.open(file).convert("RGB") for file in PHOTOGRAPHS.values()]


@pytest.mark.parametrize("way", COPIES)
def test_copies_are_of_one_group(photographs: list[Image.Image], way: str) -> None:
    copies = [COPIES[way](one) for one in photographs]
    groups = near_copies.group(thumbnails([*photographs, *copies]))
    assert groups.tolist() == [*range(len(photographs))] * 2
    assert near_copies.count_copies(groups) == 2 * len(photographs)


def test_what_the_network_sees_as_unlike_is_no_copy(photographs: list[Image.Image]) -> None:
    both = thumbnails([photographs[0], COPIES["smaller"](photographs[0])])
    alike = np.array([[1, 0.2], [1, 0.1]], np.float32)
    assert near_copies.group(both, alike).tolist() == [0, 0]
    assert near_copies.group(both, np.eye(2, dtype=np.float32)).tolist() == [0, 1]


def test_different_pictures_and_empty_ones_are_alone(photographs: list[Image.Image]) -> None:
    parts = [crop(one, 0.5, x, y) for one in photographs for x in (0, 1) for y in (0, 1)]
    grey = [Image.new("RGB", (90, 90), (value,) * 3) for value in (0, 0, 128, 128, 255)]
    groups = near_copies.group(thumbnails([*photographs, *parts, *grey]))
    assert near_copies.count_copies(groups) == 0
    assert near_copies.group(np.zeros((0, 40, 40), np.uint8)).tolist() == []


def test_drawings_of_one_kind_are_no_copies(tmp_path: Path) -> None:
    class_pictures.write(tmp_path, ["discs", "stripes"], each=40)
    files = sorted(tmp_path.rglob("*.jpg"))
    found = near_copies.read([Source(str(file), file) for file in files], MAX_PIXELS)
    assert near_copies.count_copies(near_copies.group(found)) == 0


def test_thumbnails_are_read_and_what_cannot_be_is_black(tmp_path: Path) -> None:
    file = PHOTOGRAPHS["cat"]
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    sources = [
        Source("a", file),
        Source("b", tmp_path / "broken.jpg"),
        Source("c", "https://example.org/c.jpg"),  # is not fetched again
        Source("d", file.read_bytes()),
    ]
    found = near_copies.read(sources, MAX_PIXELS)
    assert found.shape == (4, near_copies.SIDE, near_copies.SIDE)
    assert found.any(axis=(1, 2)).tolist() == [True, False, False, True]
    assert np.array_equal(found[0], found[3])
